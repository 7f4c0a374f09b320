:PREROUTING,INPUT,FORWARD,OUTPUT,POSTROUTING
*mangle
-j MARK --set-mark 1;-j MARK --set-xmark 0x1/0xffffffff;OK
-j MARK --set-mark 0x10/0xff;-j MARK --set-xmark 0x10/0xff;OK
-j MARK --set-mark 0x10/0x0f;-j MARK --set-xmark 0x10/0x1f;OK
-j MARK --set-xmark 0x10;-j MARK --set-xmark 0x10/0xffffffff;OK
-j MARK --set-xmark 0x10/0x0f;-j MARK --set-xmark 0x10/0xf;OK
-j MARK --or-mark 4;-j MARK --set-xmark 0x4/0x4;OK
-j MARK --and-mark 4;-j MARK --set-xmark 0x0/0xfffffffb;OK
-j MARK --xor-mark 4;-j MARK --set-xmark 0x4/0x0;OK
-j MARK --set-mark 0;-j MARK --set-xmark 0x0/0xffffffff;OK
-j MARK --set-mark 0xffffffff;-j MARK --set-xmark 0xffffffff/0xffffffff;OK
-j MARK --set-mark 0x100000000;;FAIL
-j MARK --set-mark 1 --or-mark 2;;FAIL
-j MARK --or-mark 1/2;;FAIL
-j MARK --set 1;;FAIL
-j MARK;;FAIL
