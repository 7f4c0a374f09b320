:INPUT,FORWARD,OUTPUT
*security
-j ACCEPT;=;OK
-j CONNSECMARK --save;=;OK
-j MARK --set-mark 1;-j MARK --set-xmark 0x1/0xffffffff;OK
-j REJECT;;FAIL
-j CHECKSUM --checksum-fill;;FAIL
