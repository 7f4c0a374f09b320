:INPUT,FORWARD,OUTPUT
*filter
-m connmark --mark 0x10;=;OK
-m connmark ! --mark 5/0xff;-m connmark ! --mark 0x5/0xff;OK
-m connmark --mark 0xffffffff/0xffffffff;-m connmark --mark 0xffffffff;OK
-m connmark --mark foo;;FAIL
-m connmark;;FAIL
-m mark --mark 1 -m connmark --mark 2;-m mark --mark 0x1 -m connmark --mark 0x2;OK
-m mark -m connmark --mark 2;;FAIL
