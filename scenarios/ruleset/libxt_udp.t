:INPUT,FORWARD,OUTPUT
*filter
-p udp --dport 53;-p udp -m udp --dport 53;OK
-p udp -m udp --sport 67 --dport 68;=;OK
-p udp --sport bootps --dport bootpc;-p udp -m udp --sport 67 --dport 68;OK
-p udp --dport domain;-p udp -m udp --dport 53;OK
-p udp ! --sport 1 ! --dport 1:5;-p udp -m udp ! --sport 1 ! --dport 1:5;OK
-p udp --dport 0:65535 --sport :;-p udp -m udp;OK
-p udp --dport 9:3;-p udp -m udp --dport 9:3;OK
-p udp -m udp;=;OK
-m udp --dport 5;;FAIL
-p tcp -m udp --dport 5;;FAIL
-p udplite -m udp --dport 5;;FAIL
-p udplite --dport 5;;FAIL
-p udp --syn;;FAIL
