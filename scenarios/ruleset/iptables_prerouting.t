:PREROUTING
*mangle
-i eth0;=;OK
-o eth0;;FAIL
-m owner --uid-owner 0;;FAIL
-p tcp --syn -j TCPMSS --set-mss 1400;-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j TCPMSS --set-mss 1400;OK
-p tcp --syn -j TCPMSS --clamp-mss-to-pmtu;;FAIL
-j CLASSIFY --set-class 1:2;;FAIL
