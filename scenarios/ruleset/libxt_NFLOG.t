:INPUT,FORWARD,OUTPUT
*filter
-j NFLOG;=;OK
-j NFLOG --nflog-group 5;=;OK
-j NFLOG --nflog-group 0;-j NFLOG;OK
-j NFLOG --nflog-group 65535;=;OK
-j NFLOG --nflog-group 65536;;FAIL
-j NFLOG --nflog-range 64;=;OK
-j NFLOG --nflog-range 0;-j NFLOG;OK
-j NFLOG --nflog-size 64;=;OK
-j NFLOG --nflog-size 0;=;OK
-j NFLOG --nflog-size 1 --nflog-range 1;;FAIL
-j NFLOG --nflog-threshold 5;=;OK
-j NFLOG --nflog-threshold 1;=;OK
-j NFLOG --nflog-threshold 0;-j NFLOG;OK
-j NFLOG --nflog-prefix abc;=;OK
-j NFLOG --nflog-prefix "a b";=;OK
-j NFLOG --nflog-prefix "";;FAIL
-j NFLOG --nflog-prefix aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa;-j NFLOG --nflog-prefix aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa;OK
-j NFLOG --nflog-threshold 3 --nflog-size 2 --nflog-prefix p --nflog-group 1;-j NFLOG --nflog-prefix p --nflog-group 1 --nflog-size 2 --nflog-threshold 3;OK
