:INPUT,FORWARD
*filter
-m addrtype --src-type LOCAL;=;OK
-m addrtype --dst-type UNICAST,LOCAL;=;OK
-m addrtype --dst-type local,unicast;-m addrtype --dst-type UNICAST,LOCAL;OK
-m addrtype ! --dst-type LOCAL;=;OK
-m addrtype --src-type UNICAST ! --dst-type LOCAL;=;OK
-m addrtype --dst-type UNSPEC;=;OK
-m addrtype --dst-type LOCAL --limit-iface-in;=;OK
-m addrtype --dst-type UNREACHABLE;=;OK
-m addrtype --dst-type FOO;;FAIL
-m addrtype --dst-type LOCAL,;;FAIL
-m addrtype --limit-iface-in;;FAIL
-m addrtype --dst-type LOCAL --limit-iface-in --limit-iface-out;;FAIL
-m addrtype;;FAIL
-m addrtype --dst-type;;FAIL
