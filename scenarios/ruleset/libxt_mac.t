:INPUT,FORWARD
*filter
-m mac --mac-source 00:11:22:33:44:55;=;OK
-m mac --mac-source FA:16:3E:00:00:01;-m mac --mac-source fa:16:3e:00:00:01;OK
-m mac ! --mac-source fa:16:3e:0:0:1;-m mac ! --mac-source fa:16:3e:00:00:01;OK
-m mac --mac-source fa:16:3e:00:00;;FAIL
-m mac --mac-source fa:16:3e:00:00:01:02;;FAIL
-m mac --mac-source fa-16-3e-00-00-01;;FAIL
-m mac --mac-source fa:16:3e:00:00:0g;;FAIL
-m mac;;FAIL
