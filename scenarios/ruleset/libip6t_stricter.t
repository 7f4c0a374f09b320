# iptables 1.8.9 takes these and reads something else than what is written: a port modulo 65536, a mask that it drops, a port range
# without its base, what stands behind a bracket. Here each is an error.
:PREROUTING,OUTPUT
*nat
-p tcp -j DNAT --to-destination [2001:db8::1]80;;FAIL
