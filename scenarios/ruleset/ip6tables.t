:INPUT,FORWARD,OUTPUT
*filter
-s 2001:db8::1;-s 2001:db8::1/128;OK
-s 2001:DB8:0:0:0::/32;-s 2001:db8::/32;OK
-s 2001:db8::1/64;-s 2001:db8::/64;OK
-s 2001:db8::/ffff:ffff::;-s 2001:db8::/32;OK
-s 2001:db8::1/ffff::ffff;-s 2001::1/ffff::ffff;OK
-s ::/0;;OK
-s 0.0.0.0/0;;OK
-s any/0;;OK
! -s ::/0;=;OK
-s ::1 -d ff02::1;-s ::1/128 -d ff02::1/128;OK
! -d fe80::/10;=;OK
-s ::ffff:10.0.0.1;-s ::ffff:10.0.0.1/128;OK
-s ::10.0.0.1;-s ::10.0.0.1/128;OK
-s ::1:0;-s ::0.1.0.0/128;OK
-s ::ffff:1;-s ::255.255.0.1/128;OK
-s 64:ff9b::10.0.0.1;-s 64:ff9b::a00:1/128;OK
-s 1:0:0:2:0:0:0:3;-s 1:0:0:2::3/128;OK
-s 1:0:2:3:4:5:6:7;-s 1:0:2:3:4:5:6:7/128;OK
-s 0:0:1::;-s 0:0:1::/128;OK
-s 1:2:3:4:5:6:0:0;-s 1:2:3:4:5:6::/128;OK
-s 10.0.0.1;;FAIL
-s 2001:db8::g;;FAIL
-s 2001:db8::1/129;;FAIL
-s 2001:db8::1%eth0;;FAIL
-s 2001:db8::1,;;FAIL
-p hopopt;;OK
-p ipv6-route;=;OK
-p ipv6-mh;-p mobility-header;OK
-p 135;-p mobility-header;OK
-f;;FAIL
-6 -j ACCEPT;-j ACCEPT;OK
-m frag --fragid 1;=;OK
-m iprange --src-range 2001:db8::1-2001:db8::9;=;OK
-m iprange --dst-range ::1;-m iprange --dst-range ::1-::1;OK
-m iprange --dst-range 10.0.0.1;;FAIL
