/* The least that a gateway can do: datagrams in with recvmmsg, acknowledgements out with sendmmsg, a PUBLISH of always the same
 * bytes for each notification, written in batches; and for each command that comes from the broker a GET, whose answer is published
 * under the command's number. What the sockets and the system's wake-ups allow, for `make bench` (scripts/bench compiles it).
 *
 * A subject of `tidegate bench`: TIDEGATE_BENCH_COAP and TIDEGATE_BENCH_MQTT say where it listens and where the broker is. It knows
 * nothing of its clients and trusts every byte. One thread. With an argument it also takes commands, which costs it a poll. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 64, DATAGRAM = 1500, CLIENTS = 1 << 17 };
enum { CON = 0, NON = 1, ACK = 2 };
enum { POST = 0x02, CREATED = 0x41, CONTENT = 0x45 };

static const char topic[] = "lwm2m/urn:imei:490154203237518/up/notify";
/* As long as what the translator in the box publishes of one value; no "value", since that would tell the bench which notification
 * it is, and it is always the same. */
static const char payload[] =
    "{\"seqNum\":1000,\"reqPath\":\"/3303/0/5700\",\"msgType\":\"notify\",\"data\":{\"reqPath\":\"/3303/0/5700\","
    "\"content\":[{\"level\":1000.5,\"path\":\"/3303/0/5700\"}],\"codeMsg\":\"content\",\"code\":\"2.05\"}}";

static uint8_t in[BATCH][DATAGRAM], out[2 * BATCH][64];
static struct sockaddr_in peers[BATCH];
static struct mmsghdr received[BATCH], sent[2 * BATCH];
static struct iovec in_vectors[BATCH], out_vectors[2 * BATCH];
static uint8_t publish[1024], stream[BATCH * sizeof publish];
static size_t publish_length, stream_length;
static unsigned sent_count;
static uint16_t next_id;
/* By the number in the endpoint name. */
static struct sockaddr_in clients[CLIENTS];
static uint8_t commands[1 << 16];
static size_t commands_length;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static struct sockaddr_in address_of(const char *variable) {
    const char *text = getenv(variable), *colon = text ? strrchr(text, ':') : NULL;
    struct sockaddr_in address = { .sin_family = AF_INET };
    char host[64] = { 0 };
    if (!colon || (size_t)(colon - text) >= sizeof host) fail(variable);
    memcpy(host, text, (size_t)(colon - text));
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) fail(variable);
    address.sin_port = htons((uint16_t)atoi(colon + 1));
    return address;
}

static void write_all(int broker, const uint8_t *bytes, size_t length) {
    while (length > 0) {
        ssize_t written = write(broker, bytes, length);
        if (written <= 0) fail("write");
        bytes += written;
        length -= (size_t)written;
    }
}

static int connect_broker(void) {
    static const uint8_t connect_packet[] = { 0x10, 16, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 4, 'l', 'o', 'o', 'p' };
    struct sockaddr_in address = address_of("TIDEGATE_BENCH_MQTT");
    int broker = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    uint8_t connack[4];
    if (broker < 0 || connect(broker, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
    setsockopt(broker, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    write_all(broker, connect_packet, sizeof connect_packet);
    if (recv(broker, connack, sizeof connack, MSG_WAITALL) != sizeof connack) fail("CONNACK");
    static const uint8_t subscribe[] = { 0x82, 9, 0, 1, 0, 4, 'd', 'n', '/', '#', 0 };
    write_all(broker, subscribe, sizeof subscribe);
    return broker;
}

static int listen_coap(void) {
    struct sockaddr_in address = address_of("TIDEGATE_BENCH_COAP");
    int socket_ = socket(AF_INET, SOCK_DGRAM, 0), bytes = 8 << 20;
    if (socket_ < 0 || bind(socket_, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
    if (setsockopt(socket_, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
        setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    return socket_;
}

static void prepare(void) {
    size_t remaining = 2 + sizeof topic - 1 + sizeof payload - 1;
    uint8_t *at = publish;
    *at++ = 0x30;
    *at++ = (uint8_t)(remaining & 0x7f) | 0x80;
    *at++ = (uint8_t)(remaining >> 7);
    *at++ = 0;
    *at++ = sizeof topic - 1;
    memcpy(at, topic, sizeof topic - 1);
    at += sizeof topic - 1;
    memcpy(at, payload, sizeof payload - 1);
    publish_length = (size_t)(at - publish) + sizeof payload - 1;
    for (int i = 0; i < BATCH; i++) {
        in_vectors[i] = (struct iovec){ in[i], DATAGRAM };
        received[i].msg_hdr = (struct msghdr){ .msg_name = &peers[i], .msg_iov = &in_vectors[i], .msg_iovlen = 1 };
    }
}

static uint8_t *send_to(struct sockaddr_in *peer, size_t length) {
    unsigned i = sent_count++;
    out_vectors[i] = (struct iovec){ out[i], length };
    sent[i].msg_hdr = (struct msghdr){
        .msg_name = peer, .msg_namelen = sizeof *peer, .msg_iov = &out_vectors[i], .msg_iovlen = 1
    };
    return out[i];
}

static uint8_t *answer(int to, size_t length) {
    return send_to(&peers[to], length);
}

/* The number behind some text, or 0. */
static unsigned long number_behind(const uint8_t *in, size_t length, const char *text) {
    const uint8_t *at = memmem(in, length, text, strlen(text));
    return at ? strtoul((const char *)at + strlen(text), NULL, 10) : 0;
}

/* 2.01 with Location-Path rd/x, then an Observe GET for /3303/0/5700 whose token is the client's address. */
static void take_registration(int from) {
    static const uint8_t location[] = { 0x82, 'r', 'd', 0x01, 'x' };
    static const uint8_t path[] = { 0x60, 0x54, '3', '3', '0', '3', 0x01, '0', 0x04, '5', '7', '0', '0' };
    const uint8_t *request = in[from];
    size_t token = request[0] & 0x0f;
    clients[number_behind(request, DATAGRAM, "ep=bench-") % CLIENTS] = peers[from];
    uint8_t *created = answer(from, 4 + token + sizeof location);
    memcpy(created, request, 4 + token);
    created[0] = (uint8_t)(0x40 | ACK << 4 | token);
    created[1] = CREATED;
    memcpy(created + 4 + token, location, sizeof location);
    uint8_t *get = answer(from, 4 + 6 + sizeof path);
    next_id++;
    get[0] = 0x40 | CON << 4 | 6;
    get[1] = 0x01;
    get[2] = (uint8_t)(next_id >> 8);
    get[3] = (uint8_t)next_id;
    memcpy(get + 4, &peers[from].sin_addr, 4);
    memcpy(get + 8, &peers[from].sin_port, 2);
    memcpy(get + 10, path, sizeof path);
}

/* A GET for /3303/0/5700 whose token is the number of the command. */
static void command(const uint8_t *packet, size_t length) {
    static const uint8_t path[] = { 0xb4, '3', '3', '0', '3', 0x01, '0', 0x04, '5', '7', '0', '0' };
    uint32_t number = (uint32_t)number_behind(packet, length, "\"reqID\":");
    struct sockaddr_in *client = &clients[number_behind(packet, length, "dn/bench-") % CLIENTS];
    if (client->sin_port == 0 || sent_count == BATCH) return;
    uint8_t *get = send_to(client, 4 + 4 + sizeof path);
    next_id++;
    get[0] = 0x40 | CON << 4 | 4;
    get[1] = 0x01;
    get[2] = (uint8_t)(next_id >> 8);
    get[3] = (uint8_t)next_id;
    memcpy(get + 4, &number, 4);
    memcpy(get + 8, path, sizeof path);
}

/* The packets of what the broker has sent; none of those in use has a length of more than two bytes. */
static void take_commands(int broker) {
    ssize_t count = read(broker, commands + commands_length, sizeof commands - commands_length);
    if (count <= 0) fail("read");
    commands_length += (size_t)count;
    size_t at = 0;
    while (commands_length - at >= 3) {
        size_t head = commands[at + 1] & 0x80 ? 3 : 2;
        size_t length = head + (commands[at + 1] & 0x7f) + (head == 3 ? (size_t)commands[at + 2] << 7 : 0);
        if (commands_length - at < length) break;
        if (commands[at] >> 4 == 3) command(commands + at, length);
        at += length;
    }
    memmove(commands, commands + at, commands_length -= at);
}

static void publish_answer(const uint8_t *datagram) {
    static const char resp[] = "up/resp";
    char text[256];
    uint32_t number;
    memcpy(&number, datagram + 4, sizeof number);
    int length = snprintf(text, sizeof text,
        "{\"reqID\":%u,\"msgType\":\"read\",\"data\":{\"reqPath\":\"/3303/0/5700\","
        "\"content\":[{\"level\":21.5,\"path\":\"/3303/0/5700\"}],\"codeMsg\":\"content\",\"code\":\"2.05\"}}", number);
    size_t remaining = 2 + sizeof resp - 1 + (size_t)length;
    uint8_t *to = stream + stream_length;
    *to++ = 0x30;
    *to++ = (uint8_t)(remaining & 0x7f) | 0x80;
    *to++ = (uint8_t)(remaining >> 7);
    *to++ = 0;
    *to++ = sizeof resp - 1;
    memcpy(to, resp, sizeof resp - 1);
    memcpy(to + sizeof resp - 1, text, (size_t)length);
    stream_length += 3 + remaining;
}

static void take(int from, size_t length) {
    const uint8_t *datagram = in[from];
    int kind;
    if (length < 4) return;
    kind = datagram[0] >> 4 & 3;
    if (datagram[1] == POST && kind == CON) {
        take_registration(from);
    } else if (datagram[1] == CONTENT && kind != ACK) {
        if (kind == CON) {
            uint8_t *ack = answer(from, 4);
            ack[0] = 0x40 | ACK << 4;
            ack[1] = 0;
            ack[2] = datagram[2];
            ack[3] = datagram[3];
        }
        memcpy(stream + stream_length, publish, publish_length);
        stream_length += publish_length;
    } else if (datagram[1] == CONTENT && (datagram[0] & 0x0f) == 4) {
        publish_answer(datagram);
    }
}

static void send_all(int coap) {
    for (unsigned done = 0; done < sent_count;) {
        int more = sendmmsg(coap, sent + done, sent_count - done, 0);
        if (more <= 0) fail("sendmmsg");
        done += (unsigned)more;
    }
    sent_count = 0;
}

int main(int arguments, char **texts) {
    (void)texts;
    prepare();
    int coap = listen_coap(), broker = connect_broker();
    struct pollfd ready[] = { { .fd = coap, .events = POLLIN }, { .fd = broker, .events = POLLIN } };
    for (;;) {
        if (arguments > 1) {
            if (poll(ready, 2, -1) < 0) fail("poll");
            if (ready[1].revents) {
                take_commands(broker);
                send_all(coap);
            }
            if (!ready[0].revents) continue;
        }
        for (int i = 0; i < BATCH; i++) received[i].msg_hdr.msg_namelen = sizeof peers[i];
        int count = recvmmsg(coap, received, BATCH, MSG_WAITFORONE, NULL);
        if (count < 0) fail("recvmmsg");
        stream_length = 0;
        for (int i = 0; i < count; i++) take(i, received[i].msg_len);
        send_all(coap);
        if (stream_length > 0) write_all(broker, stream, stream_length);
    }
}
