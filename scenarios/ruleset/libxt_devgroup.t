:FORWARD
*filter
-m devgroup --src-group 0x1;=;OK
-m devgroup ! --src-group 0x1/0xff;=;OK
-m devgroup --dst-group 0x1;=;OK
-m devgroup --src-group 0x1 ! --dst-group 0x2;=;OK
