:POSTROUTING,INPUT
*nat
-j SNAT --to-source 1.1.1.1;=;OK
-j SNAT --to 1.1.1.1;-j SNAT --to-source 1.1.1.1;OK
-j SNAT --to-source 1.1.1.1-1.1.1.9;=;OK
-p tcp -j SNAT --to-source 1.1.1.1:1024-65535;=;OK
-p udp -j SNAT --to-source :1024;=;OK
-j SNAT --to-source 1.1.1.1 --random;=;OK
-j SNAT --to-source 1.1.1.1 --random-fully;=;OK
-j SNAT --to-source 1.1.1.1 --persistent --random-fully --random;-j SNAT --to-source 1.1.1.1 --random --random-fully --persistent;OK
-j SNAT --to-source 1.1.1.1:80;;FAIL
-j SNAT --to-source;;FAIL
-j SNAT;;FAIL
-j DNAT --to-destination 1.1.1.1;;FAIL
