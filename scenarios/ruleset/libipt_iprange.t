:INPUT,FORWARD,OUTPUT
*filter
-m iprange --src-range 10.0.0.1-10.0.0.9;=;OK
-m iprange ! --dst-range 10.0.0.1-10.0.0.9;=;OK
-m iprange --src-range 10.0.0.1-10.0.0.9 ! --dst-range 10.0.1.1;-m iprange --src-range 10.0.0.1-10.0.0.9 ! --dst-range 10.0.1.1-10.0.1.1;OK
-m iprange --src-range 0.0.0.0-255.255.255.255;=;OK
-m iprange --src-range 10.0.0.9-10.0.0.1;=;OK
-m iprange --src-range 10.0.0.1-10.0.0.2-10.0.0.3;;FAIL
-m iprange --src-range 10.0.0.0/8;;FAIL
-m iprange --src-range 10.0.0.1-;;FAIL
-m iprange --src-range ::1;;FAIL
-m iprange --src-range 10.1;-m iprange --src-range 10.1.0.0-10.1.0.0;OK
-m iprange --src-range 010.1.1.1;-m iprange --src-range 8.1.1.1-8.1.1.1;OK
-m iprange;;FAIL
