"""The laboratory's table: who talks to whom, about what."""

from __future__ import annotations

from lab.clients import (
    chromium,
    curl,
    databases,
    failing,
    gnutls_curl,
    go,
    grpc,
    java,
    load,
    node,
    openssl,
    python_http,
    smtp,
    taking_turns,
    websocket,
    wget,
)
from lab.measures import Kind
from lab.network import Link
from lab.pairing import Pairing, Setup, Work
from lab.servers import (
    apache,
    granian,
    haproxy,
    mariadb,
    nginx,
    origin,
    postfix,
    postgresql,
    redis,
    tls_tools,
)
from lab.servers import go as go_server
from lab.servers import grpc as grpc_server
from lab.servers import java as java_server
from lab.servers import node as node_server
from lab.servers import websocket as websocket_server

TLS12, TLS13 = Setup("1.2"), Setup("1.3")
NO_TICKETS = Setup("1.3", tickets=False)
RESUMED12, RESUMED13 = Setup("1.2", resume=True), Setup("1.3", resume=True)
EARLY = Setup("1.3", resume=True, early_data=True)
H2, H2C = Setup("1.3", http2=True), Setup(http2=True)
H2_TLS12 = Setup("1.2", http2=True)

KEPT = Work(1, 23)
ONE_EACH = Work(17, 17)
SEVERAL_AT_ONCE = Work(3, 53, parallel=7)

# fmt: off
# A table: one pairing a line.
HTTP = (
    Pairing("curl-nginx", curl.CURL, nginx.NGINX, "HTTP/1.1"),
    Pairing("wget-apache", wget.WGET, apache.APACHE, "HTTP/1.1"),
    Pairing("wrk-haproxy", load.WRK, haproxy.HAPROXY, "HTTP/1.1", work=Work(5, 25)),
    Pairing("ab-nginx", load.AB, nginx.NGINX, "HTTP/1.1", work=Work(5, 53, 5)),
    Pairing("h2load-apache", load.H2LOAD, apache.APACHE, "HTTP/1.1", work=Work(5, 23)),
    Pairing("requests-python", python_http.REQUESTS, origin.PYTHON, "HTTP/1.1"),
    Pairing("httpx-granian", python_http.HTTPX, granian.GRANIAN, "HTTP/1.1"),
    Pairing("node-node", node.NODE, node_server.NODE, "HTTP/1.1"),
    Pairing("go-go", go.GO, go_server.GO, "HTTP/1.1"),
    Pairing("java-java", java.JAVA, java_server.JAVA, "HTTP/1.1", work=KEPT),
    Pairing("python-python-poll", taking_turns.POLL, origin.PYTHON, "long poll", work=Work(3, 5)),
    Pairing("python-python-events", taking_turns.EVENTS, origin.PYTHON, "server-sent events", work=Work(7, 7)),
    Pairing("python-python-pipelined", taking_turns.PIPELINED, origin.PYTHON, "HTTP/1.1, batches of 7", work=Work(3, 11)),
)

TLS = (
    Pairing("curl-nginx-tls12", curl.CURL, nginx.NGINX, "HTTP/1.1, TLS 1.2", setup=TLS12),
    Pairing("curl-nginx-tls13", curl.CURL, nginx.NGINX, "HTTP/1.1, TLS 1.3", setup=TLS13),
    Pairing("curl-nginx-tls13-once", curl.CURL, nginx.NGINX, "HTTP/1.1, TLS 1.3, one request a connection", setup=TLS13, work=ONE_EACH),
    Pairing("curl-nginx-tls13-no-tickets", curl.CURL, nginx.NGINX, "HTTP/1.1, TLS 1.3 without tickets", setup=NO_TICKETS),
    Pairing("curl-nginx-tls12-resumed", curl.CURL, nginx.NGINX, "HTTP/1.1, TLS 1.2 resumed", setup=RESUMED12, work=ONE_EACH),
    Pairing("curl-nginx-tls13-resumed", curl.CURL, nginx.NGINX, "HTTP/1.1, TLS 1.3 resumed", setup=RESUMED13, work=ONE_EACH),
    Pairing("curl-haproxy-tls13", curl.CURL, haproxy.HAPROXY, "HTTP/1.1, TLS 1.3", setup=TLS13),
    Pairing("gnutls-nginx-tls12", gnutls_curl.CURL, nginx.NGINX, "HTTP/1.1, TLS 1.2", setup=TLS12),
    Pairing("gnutls-apache-tls13", gnutls_curl.CURL, apache.APACHE, "HTTP/1.1, TLS 1.3", setup=TLS13),
    Pairing("wget-haproxy-tls13", wget.WGET, haproxy.HAPROXY, "HTTP/1.1, TLS 1.3", setup=TLS13),
    Pairing("wget-apache-tls12", wget.WGET, apache.APACHE, "HTTP/1.1, TLS 1.2", setup=TLS12),
    Pairing("requests-granian-tls13", python_http.REQUESTS, granian.GRANIAN, "HTTP/1.1, TLS 1.3", setup=TLS13),
    Pairing("httpx-haproxy-tls12", python_http.HTTPX, haproxy.HAPROXY, "HTTP/1.1, TLS 1.2", setup=TLS12),
    Pairing("python-python-tls12", taking_turns.HTTP, origin.PYTHON, "HTTP/1.1, TLS 1.2", setup=TLS12),
    Pairing("python-python-tls13-resumed", taking_turns.HTTP, origin.PYTHON, "HTTP/1.1, TLS 1.3 resumed", setup=RESUMED13),
    Pairing("node-node-tls13", node.NODE, node_server.NODE, "HTTP/1.1, TLS 1.3", setup=TLS13),
    Pairing("node-go-tls12", node.NODE, go_server.GO, "HTTP/1.1, TLS 1.2", setup=TLS12),
    Pairing("go-go-tls13", go.GO, go_server.GO, "HTTP/1.1, TLS 1.3", setup=TLS13),
    Pairing("go-go-tls13-resumed", go.GO, go_server.GO, "HTTP/1.1, TLS 1.3 resumed", setup=RESUMED13),
    Pairing("go-nginx-tls12-resumed", go.GO, nginx.NGINX, "HTTP/1.1, TLS 1.2 resumed", setup=RESUMED12),
    Pairing("java-java-tls13", java.JAVA, java_server.JAVA, "HTTP/1.1, TLS 1.3", setup=TLS13, work=KEPT),
    Pairing("java-nginx-tls12", java.JAVA, nginx.NGINX, "HTTP/1.1, TLS 1.2", setup=TLS12, work=KEPT),
    Pairing("wrk-nginx-tls13", load.WRK, nginx.NGINX, "HTTP/1.1, TLS 1.3", setup=TLS13, work=Work(2, 24)),
    Pairing("ab-apache-tls13", load.AB, apache.APACHE, "HTTP/1.1, TLS 1.3, one request a connection", setup=TLS13, work=Work(11, 11)),
    Pairing("openssl-openssl-tls13", openssl.S_CLIENT, tls_tools.OPENSSL, "lines, TLS 1.3 resumed", setup=RESUMED13, work=Work(7, 7)),
    Pairing("openssl-nginx-early", openssl.S_CLIENT_HTTP, nginx.NGINX, "HTTP/1.1, TLS 1.3, early data", setup=EARLY, work=Work(7, 7)),
    Pairing("openssl-haproxy-early", openssl.S_CLIENT_HTTP, haproxy.HAPROXY, "HTTP/1.1, TLS 1.3, early data", setup=EARLY, work=Work(7, 7)),
    Pairing("python-gnutls-tls12", taking_turns.ECHO, tls_tools.GNUTLS, "lines, TLS 1.2", setup=TLS12),
    Pairing("python-gnutls-tls13", taking_turns.ECHO, tls_tools.GNUTLS, "lines, TLS 1.3", setup=TLS13),
)

DATABASES_AND_MAIL = (
    Pairing("python-redis", taking_turns.REDIS, redis.REDIS, "RESP"),
    Pairing("python-redis-tls13", taking_turns.REDIS, redis.REDIS, "RESP, TLS 1.3", setup=TLS13),
    Pairing("redis-benchmark", databases.REDIS_BENCHMARK, redis.REDIS, "RESP", work=Work(5, 101)),
    Pairing("redis-benchmark-pipelined", databases.REDIS_BENCHMARK, redis.REDIS, "RESP, batches of 7", work=Work(5, 53, 7)),
    Pairing("redis-pubsub", databases.PUBSUB, redis.REDIS, "publish, subscribe", work=Work(4, 23)),
    Pairing("pgbench-postgresql", databases.PGBENCH, postgresql.POSTGRESQL, "PostgreSQL", work=Work(5, 40)),
    Pairing("pgbench-postgresql-tls13", databases.PGBENCH, postgresql.POSTGRESQL, "PostgreSQL, TLS 1.3", setup=TLS13, work=Work(3, 24)),
    Pairing("psycopg-postgresql-tls12", databases.PSYCOPG, postgresql.POSTGRESQL, "PostgreSQL, TLS 1.2", setup=Setup("1.2", mode="psycopg")),
    Pairing("pymysql-mariadb", databases.PYMYSQL, mariadb.MARIADB, "MariaDB", setup=Setup(mode="pymysql")),
    Pairing("pymysql-mariadb-tls13", databases.PYMYSQL, mariadb.MARIADB, "MariaDB, TLS 1.3", setup=Setup("1.3", mode="pymysql")),
    Pairing("smtplib-postfix", smtp.SMTPLIB, postfix.POSTFIX, "SMTP", work=Work(3, 7)),
    Pairing("smtplib-postfix-tls13", smtp.SMTPLIB, postfix.POSTFIX, "SMTP, STARTTLS, TLS 1.3", setup=TLS13, work=Work(3, 7)),
    Pairing("smtplib-postfix-tls12", smtp.SMTPLIB, postfix.POSTFIX, "SMTP, STARTTLS, TLS 1.2", setup=TLS12, work=Work(3, 7)),
)

PER_STREAM = (
    Pairing("curl-apache-h2c", curl.CURL, apache.APACHE, "HTTP/2 in clear, one request a connection", Kind.PER_STREAM, H2C, ONE_EACH),
    Pairing("h2load-haproxy-h2c", load.H2LOAD, haproxy.HAPROXY, "HTTP/2 in clear, 7 at once", Kind.PER_STREAM, H2C, SEVERAL_AT_ONCE),
    Pairing("nghttp-nginx-h2c", load.NGHTTP, nginx.NGINX, "HTTP/2 in clear, 7 at once", Kind.PER_STREAM, H2C, Work(3, 21)),
    Pairing("node-node-h2c", node.NODE, node_server.NODE, "HTTP/2 in clear, 7 at once", Kind.PER_STREAM, H2C, SEVERAL_AT_ONCE),
    Pairing("httpx-granian-h2c", python_http.HTTPX, granian.GRANIAN, "HTTP/2 in clear", Kind.PER_STREAM, H2C, SEVERAL_AT_ONCE),
    Pairing("grpc-unary", grpc.GRPC, grpc_server.GRPC, "gRPC unary, 7 at once", Kind.PER_STREAM, H2C, SEVERAL_AT_ONCE),
    Pairing("grpc-streaming", grpc.GRPC, grpc_server.GRPC, "gRPC streaming, 3 at once", Kind.PER_STREAM, Setup(http2=True, mode="streaming"), Work(2, 17, 3)),
)

MULTIPLEXED = (
    Pairing("curl-nginx-h2", curl.CURL, nginx.NGINX, "HTTP/2, TLS 1.3", Kind.MULTIPLEXED, H2),
    Pairing("curl-nginx-h2-tls12", curl.CURL, nginx.NGINX, "HTTP/2, TLS 1.2", Kind.MULTIPLEXED, H2_TLS12),
    Pairing("curl-apache-h2", curl.CURL, apache.APACHE, "HTTP/2, TLS 1.3", Kind.MULTIPLEXED, H2),
    Pairing("h2load-haproxy-h2", load.H2LOAD, haproxy.HAPROXY, "HTTP/2, TLS 1.3, 7 at once", Kind.MULTIPLEXED, H2, SEVERAL_AT_ONCE),
    Pairing("nghttp-apache-h2", load.NGHTTP, apache.APACHE, "HTTP/2, TLS 1.3, 7 at once", Kind.MULTIPLEXED, H2, Work(3, 21)),
    Pairing("httpx-granian-h2", python_http.HTTPX, granian.GRANIAN, "HTTP/2, TLS 1.3, 7 at once", Kind.MULTIPLEXED, H2, SEVERAL_AT_ONCE),
    Pairing("node-node-h2", node.NODE, node_server.NODE, "HTTP/2, TLS 1.3, 7 at once", Kind.MULTIPLEXED, H2, SEVERAL_AT_ONCE),
    Pairing("go-go-h2", go.GO, go_server.GO, "HTTP/2, TLS 1.3, 7 at once", Kind.MULTIPLEXED, H2, SEVERAL_AT_ONCE),
    Pairing("java-nginx-h2", java.JAVA, nginx.NGINX, "HTTP/2, TLS 1.3", Kind.MULTIPLEXED, H2),
    Pairing("chromium-nginx-h2", chromium.CHROMIUM, nginx.NGINX, "HTTP/2, TLS 1.3", Kind.MULTIPLEXED, H2, Work(1, 23)),
    Pairing("grpc-tls", grpc.GRPC, grpc_server.GRPC, "gRPC unary, TLS 1.3", Kind.MULTIPLEXED, H2, SEVERAL_AT_ONCE),
    Pairing("websocket", websocket.WEBSOCKET, websocket_server.WEBSOCKET, "WebSocket, both talk", Kind.MULTIPLEXED, Setup(), Work(5, 60)),
    Pairing("websocket-tls", websocket.WEBSOCKET, websocket_server.WEBSOCKET, "WebSocket, TLS 1.3, both talk", Kind.MULTIPLEXED, TLS13, Work(5, 60)),
    Pairing("websocket-far", websocket.WEBSOCKET, websocket_server.WEBSOCKET, "WebSocket, both talk, captured at the server", Kind.MULTIPLEXED, Setup(), Work(5, 60), capture_far=True),
    Pairing("websocket-turns", websocket.WEBSOCKET, websocket_server.WEBSOCKET, "WebSocket, taking turns", setup=Setup(mode="echo")),
)

FAILING = (
    Pairing("fail-curl-nginx", failing.CURL, nginx.NGINX, "certificate not believed, TLS 1.3", Kind.FAILED, TLS13, ONE_EACH),
    Pairing("fail-curl-apache-tls12", failing.CURL, apache.APACHE, "certificate not believed, TLS 1.2", Kind.FAILED, TLS12, ONE_EACH),
    Pairing("fail-version-nginx", failing.PYTHON, nginx.NGINX, "no common version, server has 1.3", Kind.FAILED, Setup("1.3", mode="version"), ONE_EACH),
    Pairing("fail-version-haproxy", failing.PYTHON, haproxy.HAPROXY, "no common version, server has 1.2", Kind.FAILED, Setup("1.2", mode="version"), ONE_EACH),
    Pairing("fail-no-certificate-openssl", failing.PYTHON, tls_tools.OPENSSL, "client has no certificate, TLS 1.3", Kind.FAILED, Setup("1.3", mode="certificate"), ONE_EACH),
    Pairing("fail-no-certificate-gnutls-tls12", failing.PYTHON, tls_tools.GNUTLS, "client has no certificate, TLS 1.2", Kind.FAILED, Setup("1.2", mode="certificate"), ONE_EACH),
    Pairing("fail-hello-python", failing.PYTHON, origin.PYTHON, "client leaves within the handshake", Kind.FAILED, Setup("1.3", mode="hello"), ONE_EACH),
    Pairing("fail-reset-go", failing.PYTHON, go_server.GO, "client resets within the handshake", Kind.FAILED, Setup("1.3", mode="reset"), ONE_EACH),
)

LOSS_OF_2_PERCENT = Link(loss_out=0.02, loss_in=0.02, seed=7)

LOSSY = (
    Pairing("loss-python-python", taking_turns.BULK, origin.PYTHON, "HTTP/1.1, 30 kB", Kind.LOSSY, work=Work(23, 401), link=LOSS_OF_2_PERCENT),
    Pairing("loss-python-python-tls13", taking_turns.BULK, origin.PYTHON, "HTTP/1.1, TLS 1.3, 30 kB", Kind.LOSSY, TLS13, Work(23, 211), LOSS_OF_2_PERCENT),
    Pairing("loss-curl-nginx-tls12", curl.CURL, nginx.NGINX, "HTTP/1.1, TLS 1.2, small", Kind.LOSSY, TLS12, Work(17, 101), LOSS_OF_2_PERCENT),
    Pairing("loss-python-redis", taking_turns.REDIS, redis.REDIS, "RESP, small", Kind.LOSSY, work=Work(5, 101), link=LOSS_OF_2_PERCENT),
)

NEAR_BY = Link(delay_us=500)
FAR = Link(delay_us=10_000)

CROWDS = (
    Pairing("crowd-ab-nginx-tls13", load.AB_STATIC, nginx.NGINX, "HTTP/1.1, TLS 1.3", Kind.CROWD, TLS13, Work(2003, 2003), NEAR_BY),
    Pairing("crowd-redis-tls13", databases.REDIS_BENCHMARK_ONCE, redis.REDIS, "RESP, TLS 1.3", Kind.CROWD, TLS13, Work(1009, 1009), NEAR_BY),
    Pairing("crowd-pgbench-tls13", databases.PGBENCH_ONCE, postgresql.POSTGRESQL, "PostgreSQL, TLS 1.3", Kind.CROWD, TLS13, Work(1009, 1009), NEAR_BY),
    Pairing("crowd-smtp-tls13", smtp.SMTPLIB_ONCE, postfix.POSTFIX, "SMTP, STARTTLS, TLS 1.3", Kind.CROWD, TLS13, Work(503, 503), NEAR_BY),
    Pairing("crowd-gnutls-tls12", taking_turns.ONCE, tls_tools.GNUTLS, "lines, TLS 1.2", Kind.CROWD, TLS12, Work(503, 503), NEAR_BY),
    Pairing("crowd-h2load-h2", load.H2LOAD, nginx.NGINX, "HTTP/2, TLS 1.3", Kind.MULTIPLEXED, H2, Work(211, 422, 7), NEAR_BY),
    Pairing("crowd-websocket-tls", websocket.WEBSOCKET, websocket_server.WEBSOCKET, "WebSocket, TLS 1.3, both talk, path of 1 ms", Kind.MULTIPLEXED, TLS13, Work(101, 1010), NEAR_BY),
    Pairing("crowd-websocket-tls-far", websocket.WEBSOCKET, websocket_server.WEBSOCKET, "WebSocket, TLS 1.3, both talk, path of 20 ms", Kind.MULTIPLEXED, TLS13, Work(101, 1010), FAR),
)
# fmt: on

PAIRINGS: tuple[Pairing, ...] = (
    HTTP + TLS + DATABASES_AND_MAIL + PER_STREAM + MULTIPLEXED + FAILING + LOSSY + CROWDS
)
