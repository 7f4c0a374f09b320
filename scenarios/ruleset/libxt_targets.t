:INPUT,FORWARD
*filter
-j NFQUEUE --queue-num 0;=;OK
-j NFQUEUE --queue-num 5 --queue-bypass;=;OK
-j NFQUEUE --queue-balance 0:3;=;OK
-j NFQUEUE --queue-balance 0:3 --queue-bypass --queue-cpu-fanout;=;OK
-j AUDIT --type accept;=;OK
-j AUDIT --type drop;=;OK
-j IDLETIMER --timeout 42 --label foo;=;OK
-j RATEEST --rateest-name RE2 --rateest-interval 250.0ms --rateest-ewmalog 500.0ms;=;OK
-j SECMARK --selctx system_u:object_r:firewalld_exec_t:s0;;FAIL
-j CONNSECMARK --save;;FAIL
-p tcp -j SYNPROXY --sack-perm --timestamp --wscale 7 --mss 1460;=;OK
-j SYNPROXY --sack-perm;;FAIL
-j AUDIT;;FAIL
-j TEE;;FAIL
-j IDLETIMER;;FAIL
-j NFQUEUE --queue-num 5 --queue-foo;;FAIL
-j NFQUEUE --queue-nmu 0;;FAIL
-j NFQUEUE --queue-num;;FAIL
