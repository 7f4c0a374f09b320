:INPUT,FORWARD,OUTPUT
*filter
-j ACCEPT;=;OK
-j DROP;=;OK
-j RETURN;=;OK
-j QUEUE;=;OK
-j user;=;OK
-g user;=;OK
--jump user;-j user;OK
--goto user;-g user;OK
-j nosuch;;FAIL
-g nosuch;;FAIL
-g ACCEPT;;FAIL
-j ACCEPT -j DROP;;FAIL
-g user -j ACCEPT;;FAIL
-j;;FAIL
-j "";;FAIL
-s 10.0.0.1;-s 10.0.0.1/32;OK
-s 10.1.2.3/8;-s 10.0.0.0/8;OK
-s 10.1.2.3/255.255.255.0;-s 10.1.2.0/24;OK
-s 10.1.2.3/255.0.255.0;-s 10.0.2.0/255.0.255.0;OK
-s 10.1;-s 10.1.0.0/32;OK
-s 10.1/16;-s 10.1.0.0/16;OK
-s 010.1.1.1;-s 8.1.1.1/32;OK
-s 0x0a000001;-s 10.0.0.1/32;OK
-s 10;-s 10.0.0.0/32;OK
-s 300;-s 0.0.1.44/32;OK
-s any/0;;OK
-s 0x0a.1.1.1;-s 10.1.1.1/32;OK
-s 10.1.1.1/010;-s 10.0.0.0/8;OK
-s 10.1.1.1/0377.0.0.0;-s 10.0.0.0/8;OK
-s 0.0.0.0/0;;OK
-s 10.0.0.1/0;;OK
! -s 0.0.0.0/0;=;OK
! -s 10.0.0.0/24 ! -d 10.0.0.1;! -s 10.0.0.0/24 ! -d 10.0.0.1/32;OK
-d 192.168.1.1 -s 10.0.0.0/8;-s 10.0.0.0/8 -d 192.168.1.1/32;OK
--source 10.0.0.1 --destination 10.0.0.2;-s 10.0.0.1/32 -d 10.0.0.2/32;OK
--src 10.0.0.1 --dst 10.0.0.2;-s 10.0.0.1/32 -d 10.0.0.2/32;OK
--src 10.0.0.1 --dest 10.0.0.2;-s 10.0.0.1/32 -d 10.0.0.2/32;OK
-s 256.1.1.1;;FAIL
-s 1.2.3.4.5;;FAIL
-s 10.0.0.1/33;;FAIL
-s 10.0.0.1/08;;FAIL
-s 10.0.0.1/;;FAIL
-s 10.0.0.1/255.255;;FAIL
-s 10.0.0.1,;;FAIL
-s "";;FAIL
-s 2001:db8::1;;FAIL
! -s 10.0.0.1,10.0.0.2;;FAIL
-s 10.0.0.1 -s 10.0.0.2;;FAIL
! ! -s 10.0.0.1;;FAIL
! -j ACCEPT;;FAIL
-j ACCEPT !;;FAIL
foo;;FAIL
-j ACCEPT foo;;FAIL
-p tcp;=;OK
! -p tcp;=;OK
-p TCP;-p tcp;OK
-p 6;-p tcp;OK
-p 0x11;-p udp;OK
-p 0;;OK
-p all;;OK
-p ip;;OK
-p icmp;=;OK
-p igmp;=;OK
-p 2;-p igmp;OK
-p gre;=;OK
-p 47;-p gre;OK
-p esp;=;OK
-p 50;-p esp;OK
-p ah;=;OK
-p sctp;=;OK
-p 132;-p sctp;OK
-p udplite;=;OK
-p dccp;=;OK
-p ipencap;=;OK
-p 4;-p ipencap;OK
-p ipv6;=;OK
-p ospf;=;OK
-p vrrp;=;OK
-p 200;=;OK
-p 255;=;OK
-p 256;;FAIL
-p tcpx;;FAIL
-p "";;FAIL
! -p all;;FAIL
! -p 0;;FAIL
-p tcp -p udp;;FAIL
--protocol udp;-p udp;OK
--proto udp;-p udp;OK
-f;=;OK
! -f;=;OK
--fragment;-f;OK
--fragments;-f;OK
-f -f;;FAIL
-j ACCEPT -p udp;-p udp -j ACCEPT;OK
-f -p tcp -d 1.1.1.1 -s 2.2.2.2 -j DROP;-s 2.2.2.2/32 -d 1.1.1.1/32 -p tcp -f -j DROP;OK
-c 1 2 -j ACCEPT;-j ACCEPT;OK
-c 1,2 -j ACCEPT;-j ACCEPT;OK
--set-counters 1 2 -j ACCEPT;-j ACCEPT;OK
-c 1 -j ACCEPT;;FAIL
-c a b -j ACCEPT;;FAIL
-t filter -j ACCEPT;;FAIL
-n -j ACCEPT;;FAIL
-w -j ACCEPT;;FAIL
-x -j ACCEPT;;FAIL
--line-numbers -j ACCEPT;;FAIL
-4 -j ACCEPT;-j ACCEPT;OK
--nosuch;;FAIL
-Q;;FAIL
-m nosuch=1;;FAIL
-A INPUT -j ACCEPT;;FAIL
