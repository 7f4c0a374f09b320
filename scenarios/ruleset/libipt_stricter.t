# iptables 1.8.9 takes these and reads something else than what is written: a port modulo 65536, a mask that it drops, a port range
# without its base, what stands behind a bracket. Here each is an error.
:PREROUTING,INPUT,OUTPUT,POSTROUTING
*nat
-j NETMAP --to 10.0.0.0/33;;FAIL
:INPUT,FORWARD,OUTPUT
*filter
-j REJECT --reject-with "";;FAIL
-m conntrack --ctorigsrc 10.0.0.1/33;;FAIL
:POSTROUTING,INPUT
*nat
-p tcp -j SNAT --to-source 1.1.1.1:1000-2000/500;;FAIL
