:INPUT
*filter
-p udp --dport 010;-p udp -m udp --dport 10;OK
-p udp --dport 0x10;;FAIL
-p udp --dport +5;-p udp -m udp --dport 5;OK
-p sctp --dport 010;-p sctp -m sctp --dport 8;OK
-p sctp --dport 0x10;-p sctp -m sctp --dport 16;OK
-m conntrack --ctorigsrcport 010;-m conntrack --ctorigsrcport 10;OK
-m conntrack --ctorigsrcport 0x10;;FAIL
