# Asked with the sets `foo` (hash:ip) and `bar` (hash:ip,port) in place; iptables refuses a rule about a set that does not exist.
:INPUT,FORWARD,OUTPUT
*filter
-m set --match-set foo src;=;OK
-m set ! --match-set foo dst;=;OK
-m set --match-set bar src,dst;=;OK
-m set --match-set bar dst,dst -j ACCEPT;=;OK
-m set --match-set foo src --return-nomatch;=;OK
-m set --match-set foo src ! --update-counters;=;OK
-m set --match-set foo src ! --update-counters ! --update-subcounters --packets-gt 5 ! --bytes-eq 7;=;OK
-m set --match-set foo src --bytes-lt 9 --packets-eq 5 --return-nomatch;-m set --match-set foo src --return-nomatch --packets-eq 5 --bytes-lt 9;OK
-m set --set foo src;-m set --match-set foo src;OK
-m set --match-set foo SRC;;FAIL
-m set --match-set foo;;FAIL
-m set;;FAIL
-j SET --add-set foo src;=;OK
-j SET --add-set foo src --exist --timeout 5;=;OK
-j SET --del-set bar src,dst;=;OK
-j SET --add-set foo src --del-set bar src,src;=;OK
-j SET;;FAIL
