:INPUT,FORWARD
*filter
-m addrtype --dst-type UNSPEC;=;OK
-m addrtype --dst-type UNICAST;=;OK
-m addrtype --dst-type LOCAL,ANYCAST,MULTICAST;=;OK
-m addrtype --dst-type UNREACHABLE;=;OK
-m addrtype --dst-type BROADCAST;;FAIL
-m addrtype --dst-type BLACKHOLE;;FAIL
-m addrtype --dst-type PROHIBIT;;FAIL
-m addrtype --src-type THROW;;FAIL
-m addrtype --dst-type NAT;;FAIL
-m addrtype --dst-type XRESOLVE;;FAIL
