# iptables 1.8.9 takes these and reads something else than what is written: a port modulo 65536, a mask that it drops, a port range
# without its base, what stands behind a bracket. Here each is an error.
:POSTROUTING
*nat
-p tcp -j MASQUERADE --to-ports 1-2/3;;FAIL
:FORWARD,OUTPUT,POSTROUTING
*mangle
-p tcp --syn -j TCPMSS --set-mss 1 --clamp-mss-to-pmtu;;FAIL
:INPUT,FORWARD
*filter
-m physdev --physdev-in "";;FAIL
:INPUT,FORWARD,OUTPUT
*filter
-p udp --dport 70000;;FAIL
