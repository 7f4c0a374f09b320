# The kernel that the other files were asked of has no module for these, so that only iptables-restore --test was asked, which takes them.
:INPUT,FORWARD,OUTPUT
*filter
-m ipvs --ipvs;=;OK
-m ipvs --vproto 6 --vdir ORIGINAL;=;OK
-m rateest --rateest RE1 --rateest-lt --rateest-bps 1bit;=;OK
-m nfacct --nfacct-name foo;=;OK
:INPUT,FORWARD
*filter
-j LED --led-trigger-id "foo";=;OK
-j LED --led-trigger-id "foo" --led-delay 42 --led-always-blink;=;OK
