:INPUT,FORWARD,OUTPUT
*filter
-m recent --set --name SSH --mask 255.255.255.255 --rsource;=;OK
-m recent --rcheck --seconds 60 --hitcount 4 --name SSH --mask 255.255.255.255 --rsource;=;OK
-m recent --update --seconds 60 --name SSH --mask 255.255.255.255 --rdest;=;OK
-m recent ! --remove --name SSH --mask 255.255.255.255 --rsource;=;OK
-m recent --rcheck --seconds 60 --reap --hitcount 4 --rttl --name SSH --mask 255.255.255.255 --rsource;=;OK
-m recent --set --name DEFAULT --mask 255.255.255.255 --rsource;=;OK
