:INPUT,FORWARD,OUTPUT
*filter
-m length --length 100;=;OK
-m length --length 0;=;OK
-m length --length 10:20;=;OK
-m length --length :20;-m length --length 0:20;OK
-m length --length 20:;-m length --length 20:65535;OK
-m length ! --length 1:2;=;OK
-m length --length 0xa;-m length --length 10;OK
-m length --length 65536;;FAIL
-m length --length 20:10;=;OK
-m length --length :;-m length --length 0:65535;OK
-m length --length 1:2:3;;FAIL
-m length --length foo;;FAIL
-m length;;FAIL
