# The kernel that the other files were asked of has no module for these, so that only iptables-restore --test was asked, which takes them.
:INPUT
*filter
-j ULOG;=;OK
-j ULOG --ulog-nlgroup 5 --ulog-prefix "a b";=;OK
-j CLUSTERIP --new --hashmode sourceip --clustermac 01:AA:7B:47:F7:D7 --total-nodes 2 --local-node 0 --hash-init 1;=;OK
-d 10.31.3.236/32 -i lo -j CLUSTERIP --new --hashmode sourceip --clustermac 01:AA:7B:47:F7:D7 --total-nodes 2 --local-node 0 --hash-init 1;=;OK
:PREROUTING
*mangle
-j SECMARK --selctx foo;=;OK
