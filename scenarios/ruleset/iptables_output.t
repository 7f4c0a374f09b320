:OUTPUT
*filter
-o eth0;=;OK
-i eth0;;FAIL
-i +;;FAIL
-m mac --mac-source 00:11:22:33:44:55;;FAIL
-m owner --uid-owner 0;=;OK
-m addrtype --dst-type LOCAL --limit-iface-out;=;OK
-m addrtype --dst-type LOCAL --limit-iface-in;;FAIL
-m physdev --physdev-out eth0;;FAIL
-m physdev --physdev-is-out;;FAIL
-m physdev --physdev-out eth0 --physdev-is-bridged;=;OK
-m physdev --physdev-is-bridged;=;OK
-m physdev --physdev-in eth0;=;OK
-m socket;;FAIL
-m policy --dir in --pol none;;FAIL
-m devgroup --src-group 1;;FAIL
