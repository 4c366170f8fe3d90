/* Produces as fast as librdkafka does with its defaults (acknowledged by all, 5 ms of linger), for a while, and
 * prints what was acknowledged meanwhile as one line of JSON.
 *
 *   rdkafka BOOTSTRAP TOPIC [-s value-bytes] [-w warm-up-seconds] [-l seconds] [-b most-bytes]
 *           [-p broker-pid] [-c topic-config=value] [-d]
 *
 * -d deletes the topic at the end. */
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const char *bootstrap, *topic;
static size_t value_bytes = 100;
static double warm_seconds = 0.5, seconds = 2;
static long long bytes_max = 1000000000LL;
static int broker_pid = 0;
static char *config_name = NULL, *config_value = NULL;
static int is_dropped = 0;
static atomic_llong acknowledged;
static atomic_int is_over;

static void fail(const char *format, ...) {
  va_list args;
  va_start(args, format);
  fputs("rdkafka: ", stderr);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static double own_cpu(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* User and system seconds of the broker, all its threads together. */
static double broker_cpu(void) {
  if (broker_pid == 0) return 0;
  char path[64], stat[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", broker_pid);
  FILE *file = fopen(path, "r");
  if (file == NULL) fail("%s cannot be read", path);
  size_t size = fread(stat, 1, sizeof stat - 1, file);
  fclose(file);
  stat[size] = 0;
  unsigned long user = 0, system = 0;
  char *behind_name = strrchr(stat, ')');
  if (behind_name == NULL || sscanf(behind_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
    fail("%s is not understood", path);
  return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static void delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
  (void)client;
  (void)opaque;
  if (message->err) fail("delivery: %s", rd_kafka_err2str(message->err));
  atomic_fetch_add_explicit(&acknowledged, 1, memory_order_relaxed);
}

static rd_kafka_t *client_of(void) {
  char error[512];
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  if (rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, error, sizeof error) != RD_KAFKA_CONF_OK) fail("%s", error);
  rd_kafka_conf_set_dr_msg_cb(conf, delivered);
  rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
  if (client == NULL) fail("%s", error);
  return client;
}

/* Waits for an answer about our one topic. */
static void await_topic(rd_kafka_queue_t *queue) {
  rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 30000);
  if (event == NULL) fail("no answer about topic %s within 30 s", topic);
  if (rd_kafka_event_error(event)) fail("topic %s: %s", topic, rd_kafka_event_error_string(event));
  size_t count = 0;
  const rd_kafka_CreateTopics_result_t *created = rd_kafka_event_CreateTopics_result(event);
  const rd_kafka_topic_result_t **topics =
      created ? rd_kafka_CreateTopics_result_topics(created, &count)
              : rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count);
  for (size_t i = 0; i < count; i++)
    if (rd_kafka_topic_result_error(topics[i])) fail("topic %s: %s", topic, rd_kafka_topic_result_error_string(topics[i]));
  rd_kafka_event_destroy(event);
}

static void create_topic(rd_kafka_t *client) {
  char error[512];
  rd_kafka_NewTopic_t *wanted = rd_kafka_NewTopic_new(topic, 1, 1, error, sizeof error);
  if (wanted == NULL) fail("%s", error);
  if (config_name != NULL) rd_kafka_NewTopic_set_config(wanted, config_name, config_value);
  rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
  rd_kafka_CreateTopics(client, &wanted, 1, NULL, queue);
  await_topic(queue);
  rd_kafka_NewTopic_destroy(wanted);
  rd_kafka_queue_destroy(queue);
}

static void delete_topic(rd_kafka_t *client) {
  rd_kafka_DeleteTopic_t *unwanted = rd_kafka_DeleteTopic_new(topic);
  rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
  rd_kafka_DeleteTopics(client, &unwanted, 1, NULL, queue);
  await_topic(queue);
  rd_kafka_DeleteTopic_destroy(unwanted);
  rd_kafka_queue_destroy(queue);
}

static void *produce(void *arg) {
  rd_kafka_t *client = arg;
  rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
  char *value = malloc(value_bytes);
  for (size_t i = 0; i < value_bytes; i++) value[i] = (char)(rand() >> 7);
  for (long i = 0; !atomic_load_explicit(&is_over, memory_order_relaxed); i++) {
    while (rd_kafka_produce(handle, 0, RD_KAFKA_MSG_F_COPY, value, value_bytes, NULL, 0, NULL)) {
      if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) fail("%s", rd_kafka_err2str(rd_kafka_last_error()));
      rd_kafka_poll(client, 5);
    }
    if ((i & 1023) == 0) rd_kafka_poll(client, 0);
  }
  if (rd_kafka_flush(client, 60000)) fail("not everything was acknowledged within 60 s");
  free(value);
  rd_kafka_topic_destroy(handle);
  return NULL;
}

static long long acknowledged_bytes(void) { return atomic_load(&acknowledged) * (long long)value_bytes; }

static void rest(void) { usleep(1000); }

static void parse(int count, char **args) {
  if (count < 3) fail("usage: rdkafka BOOTSTRAP TOPIC [options]");
  bootstrap = args[1];
  topic = args[2];
  optind = 3;
  int option;
  while ((option = getopt(count, args, "s:w:l:b:p:c:d")) != -1) switch (option) {
    case 's': value_bytes = strtoul(optarg, NULL, 10); break;
    case 'w': warm_seconds = atof(optarg); break;
    case 'l': seconds = atof(optarg); break;
    case 'b': bytes_max = atoll(optarg); break;
    case 'p': broker_pid = atoi(optarg); break;
    case 'd': is_dropped = 1; break;
    case 'c':
      config_name = optarg;
      config_value = strchr(optarg, '=');
      if (config_value == NULL) fail("-c name=value");
      *config_value++ = 0;
      break;
    default: exit(2);
  }
}

int main(int count, char **args) {
  parse(count, args);
  rd_kafka_t *client = client_of();
  create_topic(client);
  pthread_t producer;
  pthread_create(&producer, NULL, produce, client);
  double start = now();
  while (now() - start < warm_seconds && acknowledged_bytes() < bytes_max / 3) rest();
  double begin = now(), broker_begin = broker_cpu(), own_begin = own_cpu();
  long long records_begin = atomic_load(&acknowledged);
  while (now() - begin < seconds && acknowledged_bytes() < bytes_max) rest();
  double end = now(), broker_end = broker_cpu(), own_end = own_cpu();
  long long records = atomic_load(&acknowledged) - records_begin;
  atomic_store(&is_over, 1);
  pthread_join(producer, NULL);
  if (is_dropped) delete_topic(client);
  printf("{\"secs\":%.6f,\"requests\":0,\"records\":%lld,\"bytes\":%lld,\"loadCpu\":%.6f,\"beginUs\":%.0f,\"endUs\":%.0f",
         end - begin, records, records * (long long)value_bytes, own_end - own_begin, begin * 1e6, end * 1e6);
  if (broker_pid) printf(",\"serverCpu\":%.6f", broker_end - broker_begin);
  printf("}\n");
  rd_kafka_destroy(client);
  return 0;
}
