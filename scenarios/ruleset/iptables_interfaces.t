:FORWARD
*filter
-i eth0;=;OK
-o eth0;=;OK
! -i eth0 ! -o eth1;=;OK
-i eth+;=;OK
-i +;;OK
-o + -i lo;-i lo;OK
--in-interface eth0;-i eth0;OK
--out-interface eth0;-o eth0;OK
--in-int eth0 --out-int eth1;-i eth0 -o eth1;OK
-i eth0.100 -o br-int;=;OK
-i eth0:1;=;OK
-i 123456789012345;=;OK
-i 1234567890123456;;FAIL
-i "";;FAIL
-i;;FAIL
-i eth0 -i eth1;;FAIL
-p tcp -i eth0;-i eth0 -p tcp;OK
