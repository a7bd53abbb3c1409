// Attributes, scheduling and affinity of threads: what workers have is told, the rest is refused or a wish.
#ifndef PTNET_PTHREAD_ATTR_H
#define PTNET_PTHREAD_ATTR_H

static inline int pthread_attr_init(pthread_attr_t *attr) {
  memset(attr, 0, sizeof *attr);
  return 0;
}

static inline int pthread_attr_destroy(pthread_attr_t *attr) {
  (void)attr;
  return 0;
}

static inline int pthread_attr_setdetachstate(pthread_attr_t *attr, int state) {
  if (state != PTHREAD_CREATE_JOINABLE && state != PTHREAD_CREATE_DETACHED) return EINVAL;
  attr->__u.__i[0] = state;
  return 0;
}

static inline int pthread_attr_getdetachstate(const pthread_attr_t *attr, int *state) {
  *state = attr->__u.__i[0];
  return 0;
}

static inline int pthread_attr_setstacksize(pthread_attr_t *attr, size_t size) {
  if (size < PTHREAD_STACK_MIN || size > (1U << 30)) return EINVAL;
  attr->__u.__i[1] = (int)size;
  return 0;
}

static inline int pthread_attr_getstacksize(const pthread_attr_t *attr, size_t *size) {
  *size = attr->__u.__i[1] ? (size_t)attr->__u.__i[1] : PTNET_STACK;
  return 0;
}

static inline int pthread_attr_getguardsize(const pthread_attr_t *attr, size_t *size) {
  (void)attr;
  *size = 0;
  return 0;
}

static inline int pthread_attr_setscope(pthread_attr_t *attr, int scope) {
  (void)attr;
  return scope == PTHREAD_SCOPE_SYSTEM ? 0 : scope == PTHREAD_SCOPE_PROCESS ? ENOTSUP : EINVAL;
}

static inline int pthread_attr_setinheritsched(pthread_attr_t *attr, int inherit) {
  (void)attr;
  return inherit == PTHREAD_INHERIT_SCHED ? 0 : inherit == PTHREAD_EXPLICIT_SCHED ? ENOTSUP : EINVAL;
}

static inline int pthread_attr_setschedpolicy(pthread_attr_t *attr, int policy) {
  (void)attr;
  return policy == SCHED_OTHER ? 0 : ENOTSUP;
}

static inline int pthread_attr_setschedparam(pthread_attr_t *attr, const struct sched_param *parameters) {
  (void)attr;
  return parameters->sched_priority == 0 ? 0 : ENOTSUP;
}

static inline int pthread_attr_getschedparam(const pthread_attr_t *attr, struct sched_param *parameters) {
  (void)attr;
  parameters->sched_priority = 0;
  return 0;
}

static inline int pthread_setschedparam(pthread_t id, int policy, const struct sched_param *parameters) {
  (void)id;
  return policy == SCHED_OTHER && parameters->sched_priority == 0 ? 0 : ENOTSUP;
}

static inline int pthread_getschedparam(pthread_t id, int *policy, struct sched_param *parameters) {
  (void)id;
  *policy = SCHED_OTHER;
  parameters->sched_priority = 0;
  return 0;
}

static inline int pthread_getconcurrency(void) {
  return 0;
}

static inline int pthread_setaffinity_np(pthread_t id, size_t size, const cpu_set_t *set) {
  (void)id;
  return ptnet_check_affinity(size, set);
}

static inline int pthread_getaffinity_np(pthread_t id, size_t size, cpu_set_t *set) {
  (void)id;
  return ptnet_all_processors(size, set) < 0 ? EINVAL : 0;
}

static inline int pthread_attr_setaffinity_np(pthread_attr_t *attr, size_t size, const cpu_set_t *set) {
  (void)attr;
  return ptnet_check_affinity(size, set);
}

#endif
