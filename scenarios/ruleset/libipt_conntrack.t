:INPUT,FORWARD,OUTPUT
*filter
-m conntrack --ctorigsrc 10.0.0.1;=;OK
-m conntrack ! --ctorigdst 10.0.0.0/8;=;OK
-m conntrack --ctreplsrc 10.1.2.3/24 --ctrepldst 10.0.0.0/255.255.0.0;-m conntrack --ctreplsrc 10.1.2.3/24 --ctrepldst 10.0.0.0/16;OK
-m conntrack --ctorigsrc 10.1.2.3/255.0.255.0;-m conntrack --ctorigsrc 10.1.2.3;OK
-m conntrack --ctorigsrc 0.0.0.0/0;=;OK
-m conntrack --ctorigsrc foo.invalid;;FAIL
-m conntrack --ctorigsrc 10.1;-m conntrack --ctorigsrc 10.0.0.1;OK
-m conntrack --ctorigsrc 10;-m conntrack --ctorigsrc 0.0.0.10;OK
-m conntrack --ctorigsrc 010.1.1.1;-m conntrack --ctorigsrc 8.1.1.1;OK
-m conntrack --ctorigsrc 10.0.0.1 --ctorigdst 10.0.0.2 --ctorigsrcport 1 --ctorigdstport 2 --ctstate NEW;-m conntrack --ctstate NEW --ctorigsrc 10.0.0.1 --ctorigdst 10.0.0.2 --ctorigsrcport 1 --ctorigdstport 2;OK
