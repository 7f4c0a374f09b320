:INPUT,FORWARD,OUTPUT
*filter
-m conntrack --ctorigsrc 2001:db8::1;=;OK
-m conntrack ! --ctorigdst 2001:db8::/32;=;OK
-m conntrack --ctreplsrc 2001:db8::1/64;=;OK
-m conntrack --ctorigsrc ::/0;=;OK
-m conntrack --ctorigsrc 10.0.0.1;;FAIL
