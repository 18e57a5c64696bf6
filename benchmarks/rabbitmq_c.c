/* The publisher of benchmarks/load.py in C: one thread and one connection for each node.

   Usage: rabbitmq_c VHOST USER QUEUE SECONDS WINDOW SIZE HOST PORT [HOST PORT ...]
   The environment variable AMQP_PASSWORD is the password. A SIZE of 0 sends bare integers.

   Prints one line of JSON: confirmed messages, seconds until the last confirm, seconds of CPU. */

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <amqp.h>
#include <amqp_tcp_socket.h>

#define CHANNEL 1
#define FRAME_MAX 131072

static const char *vhost, *user, *password, *queue;
static double seconds;
static long window;
static size_t size;
static pthread_barrier_t ready;

struct publisher {
  const char *host;
  int port;
  long first, step; /* values, as jepsenvm numbers them */
  long confirmed;
  double began, last;
};

static void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  exit(1);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

static void require_normal(amqp_connection_state_t connection, const char *what) {
  if (amqp_get_rpc_reply(connection).reply_type != AMQP_RESPONSE_NORMAL) fail("%s failed", what);
}

static amqp_connection_state_t opened(const struct publisher *self) {
  amqp_connection_state_t connection = amqp_new_connection();
  amqp_socket_t *socket = amqp_tcp_socket_new(connection);
  if (!socket || amqp_socket_open(socket, self->host, self->port))
    fail("no connection to %s:%d", self->host, self->port);
  amqp_rpc_reply_t login = amqp_login(connection, vhost, 0, FRAME_MAX, 0, AMQP_SASL_METHOD_PLAIN,
                                      user, password);
  if (login.reply_type != AMQP_RESPONSE_NORMAL) fail("login at %s failed", self->host);
  amqp_channel_open(connection, CHANNEL);
  require_normal(connection, "channel.open");
  amqp_confirm_select(connection, CHANNEL);
  require_normal(connection, "confirm.select");
  return connection;
}

static void publish_one(amqp_connection_state_t connection, long value, char *filler) {
  char digits[32];
  amqp_bytes_t body;
  if (size) {
    body.bytes = filler;
    body.len = size;
  } else {
    body.bytes = digits;
    body.len = (size_t)snprintf(digits, sizeof digits, "%ld", value);
  }
  amqp_basic_properties_t properties;
  memset(&properties, 0, sizeof properties);
  properties._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG;
  properties.delivery_mode = 2;
  char message_id[32];
  snprintf(message_id, sizeof message_id, "%ld", value);
  properties.message_id = amqp_cstring_bytes(message_id);
  int status = amqp_basic_publish(connection, CHANNEL, amqp_empty_bytes,
                                  amqp_cstring_bytes(queue), 1, 0, &properties, body);
  if (status != AMQP_STATUS_OK) fail("basic.publish failed: %s", amqp_error_string2(status));
}

/* Waits for one basic.ack. Any other answer ends the benchmark: every message must be confirmed. */
static amqp_basic_ack_t next_ack(amqp_connection_state_t connection) {
  amqp_frame_t frame;
  int status = amqp_simple_wait_frame(connection, &frame);
  if (status != AMQP_STATUS_OK) fail("no confirm: %s", amqp_error_string2(status));
  if (frame.frame_type != AMQP_FRAME_METHOD || frame.payload.method.id != AMQP_BASIC_ACK_METHOD)
    fail("the broker answered something other than basic.ack");
  amqp_basic_ack_t ack = *(amqp_basic_ack_t *)frame.payload.method.decoded;
  amqp_maybe_release_buffers(connection);
  return ack;
}

static void *publish(void *argument) {
  struct publisher *self = argument;
  amqp_connection_state_t connection = opened(self);
  char *filler = calloc(1, size + 1);
  size_t capacity = 1 << 20;
  unsigned char *done = calloc(capacity, 1); /* by delivery tag, because confirms may overtake */
  long sent = 0;
  size_t lowest = 1; /* every lower tag is confirmed */
  pthread_barrier_wait(&ready);
  self->began = now();
  double end = self->began + seconds;
  for (;;) {
    while (sent - self->confirmed < window && now() < end) {
      publish_one(connection, self->first + sent * self->step, filler);
      sent++;
    }
    if (self->confirmed == sent) break;
    amqp_basic_ack_t ack = next_ack(connection);
    while (ack.delivery_tag >= capacity) {
      done = realloc(done, 2 * capacity);
      if (!done) fail("out of memory");
      memset(done + capacity, 0, capacity);
      capacity *= 2;
    }
    for (size_t tag = ack.multiple ? lowest : ack.delivery_tag; tag <= ack.delivery_tag; tag++) {
      self->confirmed += !done[tag];
      done[tag] = 1;
    }
    while (lowest < capacity && done[lowest]) lowest++;
    self->last = now();
  }
  amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
  amqp_destroy_connection(connection);
  free(done);
  free(filler);
  return NULL;
}

int main(int count, char **words) {
  if (count < 9 || (count - 7) % 2) fail("see the beginning of rabbitmq_c.c");
  vhost = words[1];
  user = words[2];
  queue = words[3];
  seconds = atof(words[4]);
  window = atol(words[5]);
  size = (size_t)atol(words[6]);
  password = getenv("AMQP_PASSWORD");
  if (!password || seconds <= 0 || window <= 0) fail("see the beginning of rabbitmq_c.c");
  int publishers = (count - 7) / 2;
  struct publisher *all = calloc((size_t)publishers, sizeof *all);
  pthread_t *threads = calloc((size_t)publishers, sizeof *threads);
  pthread_barrier_init(&ready, NULL, (unsigned)publishers);
  for (int i = 0; i < publishers; i++) {
    all[i] = (struct publisher){
        .host = words[7 + 2 * i], .port = atoi(words[8 + 2 * i]), .first = i, .step = publishers};
    if (pthread_create(&threads[i], NULL, publish, &all[i])) fail("no thread");
  }
  long confirmed = 0;
  double began = 0, last = 0;
  for (int i = 0; i < publishers; i++) {
    pthread_join(threads[i], NULL);
    confirmed += all[i].confirmed;
    if (!i || all[i].began < began) began = all[i].began;
    if (all[i].last > last) last = all[i].last;
  }
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  double cpu = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
               (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
  printf("{\"confirmed\": %ld, \"seconds\": %f, \"cpu\": %f}\n", confirmed, last - began, cpu);
  return 0;
}
