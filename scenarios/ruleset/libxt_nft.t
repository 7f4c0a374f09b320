# Only iptables-nft takes these: legacy iptables has TRACE in table raw alone.
:INPUT,FORWARD,OUTPUT
*filter
-j TRACE;=;OK
-p tcp -j TRACE;=;OK
