:INPUT,FORWARD,OUTPUT
*filter
-p dccp --dport 5;-p dccp -m dccp --dport 5;OK
-p dccp --dport 5:1;-p dccp -m dccp --dport 5:1;OK
-p dccp -m dccp --dport 4464;=;OK
-p dccp ! --sport 5:6 --dport 7;-p dccp -m dccp ! --sport 5:6 --dport 7;OK
-p dccp --dccp-types REQUEST,RESPONSE;-p dccp -m dccp --dccp-types REQUEST,RESPONSE;OK
-p dccp ! --dccp-types INVALID;-p dccp -m dccp ! --dccp-types INVALID;OK
-p dccp --dccp-option 5;-p dccp -m dccp --dccp-option 5;OK
-m dccp --dport 5;;FAIL
