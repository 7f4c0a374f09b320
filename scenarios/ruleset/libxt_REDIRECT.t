:PREROUTING,OUTPUT
*nat
-j REDIRECT;=;OK
-p tcp -j REDIRECT --to-ports 80;=;OK
-p tcp -j REDIRECT --to-port 80;-p tcp -j REDIRECT --to-ports 80;OK
-p tcp -j REDIRECT --to-ports 80-90;=;OK
-p tcp -j REDIRECT --to-ports http;-p tcp -j REDIRECT --to-ports 80;OK
-p udp -j REDIRECT --to-ports 53 --random;=;OK
-j REDIRECT --random;=;OK
-p tcp -j REDIRECT --to-ports 80-90/100;;FAIL
-p tcp -j REDIRECT --to-ports 90-80;;FAIL
-j REDIRECT --to-ports 80;;FAIL
-p tcp -j REDIRECT --to-ports 0;=;OK
-p tcp -j REDIRECT --to-ports 0x10-0x20;-p tcp -j REDIRECT --to-ports 16-32;OK
-p tcp -j REDIRECT --to-ports 5-5;-p tcp -j REDIRECT --to-ports 5;OK
-j MASQUERADE;;FAIL
