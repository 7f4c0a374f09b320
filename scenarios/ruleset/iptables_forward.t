:FORWARD
*filter
-m cgroup --cgroup 1;;FAIL
-m owner --uid-owner 0;;FAIL
-m socket;;FAIL
-m devgroup --src-group 0x1 --dst-group 0x2;=;OK
-i eth0 -o eth1;=;OK
