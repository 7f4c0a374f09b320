:INPUT,FORWARD,OUTPUT
*filter
-m limit --limit 1/sec;=;OK
-m limit --limit 5/min --limit-burst 10;=;OK
-m limit --limit 3/hour;=;OK
-m limit --limit 1000/day;=;OK
-m limit --limit 10/sec --limit-burst 1;=;OK
-m limit --lim 5/sec --limit-b 7;;FAIL
-m limit --limt 5/sec;;FAIL
-m limit ! --limit 1/sec;;FAIL
-m limit --limit 5/sec -m mark --mark 0x1 -p tcp --dport 5;-p tcp -m limit --limit 5/sec -m mark --mark 0x1 -m tcp --dport 5;OK
