:PREROUTING,OUTPUT
*nat
-j DNAT --to-destination 2001:db8::1;=;OK
-j DNAT --to-destination [2001:db8::1];-j DNAT --to-destination 2001:db8::1;OK
-j DNAT --to-destination 2001:db8::1-2001:db8::9;=;OK
-j DNAT --to-destination [2001:db8::1-2001:db8::9];-j DNAT --to-destination 2001:db8::1-2001:db8::9;OK
-p tcp -j DNAT --to-destination [2001:db8::1]:80;=;OK
-p tcp -j DNAT --to-destination [2001:db8::1-2001:db8::9]:80-90;=;OK
-p tcp -j DNAT --to-destination [2001:db8::1]:1000-2000/500;=;OK
-p tcp -j DNAT --to-destination :80;=;OK
-p tcp -j DNAT --to-destination [2001:db8::1;;FAIL
-j DNAT --to-destination [2001:db8::1]:80;;FAIL
-j DNAT --to-destination 1.1.1.1;;FAIL
-p tcp -j DNAT --to-destination 1.1.1.1:80;;FAIL
-j DNAT --to-destination ::1;=;OK
-p icmpv6 -j DNAT --to-destination [2001:db8::1]:80;;FAIL
-p icmp -j DNAT --to-destination [2001:db8::1]:80;=;OK
-j DNAT;;FAIL
