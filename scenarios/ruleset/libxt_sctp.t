:INPUT,FORWARD,OUTPUT
*filter
-p sctp --dport 5;-p sctp -m sctp --dport 5;OK
-p sctp --sport 5:6 ! --dport 1;-p sctp -m sctp --sport 5:6 ! --dport 1;OK
-p sctp -m sctp;=;OK
-p sctp --chunk-types any DATA,INIT;-p sctp -m sctp --chunk-types any DATA,INIT;OK
-p sctp ! --chunk-types all DATA;-p sctp -m sctp ! --chunk-types all DATA;OK
-p sctp --chunk-types only INIT,INIT_ACK;-p sctp -m sctp --chunk-types only INIT,INIT_ACK;OK
-p sctp --dport 3 --chunk-types any ABORT;-p sctp -m sctp --dport 3 --chunk-types any ABORT;OK
-p sctp --chunk-types any;;FAIL
-m sctp --dport 3;;FAIL
-p tcp -m sctp --dport 3;;FAIL
-p sctp --dport 0:65535;-p sctp -m sctp --dport 0:65535;OK
-p sctp --dport 5:1;;FAIL
-p sctp --dport 70000;;FAIL
