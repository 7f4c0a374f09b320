:POSTROUTING
*mangle
-o eth0;=;OK
-i eth0;;FAIL
-m mac --mac-source 00:11:22:33:44:55;;FAIL
-m physdev --physdev-out eth0;=;OK
-j CLASSIFY --set-class 0001:0002;=;OK
-m osf --genre Linux;;FAIL
