:PREROUTING
*mangle
-j DSCP --set-dscp 0x10;=;OK
-j TOS --set-tos 0x10/0x3f;=;OK
-j TOS --set-tos 0x10/0xff;=;OK
-p tcp -j TCPOPTSTRIP --strip-options 2,3,4;=;OK
-p tcp -j TCPOPTSTRIP;=;OK
-p tcp -j TPROXY --on-port 3128 --on-ip 0.0.0.0 --tproxy-mark 0x1/0x1;=;OK
-j TPROXY --on-port 3128;;FAIL
-p tcp -j ECN --ecn-tcp-remove;=;OK
-j ECN --ecn-tcp-remove;;FAIL
-j HMARK --hmark-src-prefix 32 --hmark-dst-prefix 32 --hmark-rnd 0x00000005 --hmark-mod 1;=;OK
-j TEE --gateway 10.0.0.1;=;OK
-j TEE --gateway 10.0.0.1 --oif eth0;=;OK
-j CLASSIFY --set-class 0001:0002;;FAIL
-j TCPOPTSTRIP --strip-options 2;;FAIL
