/* A driver that shows Tesla P100s (FAKE_GPUS, one by default), built as libcuda.so.1 and libnvidia-ml.so.1 by the tests.
   Where a real P100 has no answer (SHY) it returns NVML_ERROR_NOT_SUPPORTED, as that driver does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int setting(const char *name, int otherwise) {
  const char *text = getenv(name);
  return text ? atoi(text) : otherwise;
}

/* CUDA */
int cuInit(unsigned flags) { return setting("FAKE_INIT", 0); }
#define GPUS setting("FAKE_GPUS", 1)
static const char *bus_ids[] = {"0000:3B:00.0", "0000:5E:00.0"}; /* in NVML's order */
/* As CUDA counts: backwards with FAKE_REVERSED, as CUDA_DEVICE_ORDER can do. */
static const char *bus_id(int ordinal) {
  return bus_ids[setting("FAKE_REVERSED", 0) ? GPUS - 1 - ordinal : ordinal];
}
int cuDeviceGetCount(int *count) { *count = GPUS; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return ordinal < GPUS ? 0 : 101; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  *value = attribute == 75 ? 6 : attribute == 76 ? 0 : -1;
  return 0;
}
int cuDeviceGetName(char *text, int length, int device) {
  snprintf(text, length, "Tesla P100-PCIE-16GB");
  return 0;
}
int cuDeviceGetPCIBusId(char *text, int length, int device) {
  snprintf(text, length, "%s", bus_id(device));
  return 0;
}

/* NVML */
#define SHY (setting("FAKE_SHY", 0) ? 3 : 0)
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { char legacy_bus_id[16]; unsigned numbers[5]; char bus_id[32]; } Pci;
static int handles[2];
#define INDEX(handle) ((int)((int *)(handle) - handles))

int nvmlInitWithFlags(unsigned flags) { return 0; }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int status) { return "an error of the fake driver"; }
int nvmlSystemGetDriverVersion(char *text, unsigned n) { snprintf(text, n, "580.65.06"); return 0; }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = 12090; return SHY; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = GPUS; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
  *handle = &handles[index];
  return 0;
}
int nvmlDeviceGetHandleByPciBusId_v2(const char *id, void **handle) {
  for (int i = 0; i < GPUS; i++) {
    if (strcmp(id, bus_ids[i]) == 0) {
      *handle = &handles[i];
      return 0;
    }
  }
  return 6;
}
int nvmlDeviceGetName(void *h, char *t, unsigned n) { snprintf(t, n, "Tesla P100-PCIE-16GB"); return 0; }
int nvmlDeviceGetUUID(void *h, char *t, unsigned n) { snprintf(t, n, "GPU-1234"); return SHY; }
int nvmlDeviceGetCudaComputeCapability(void *h, int *major, int *minor) {
  *major = 6;
  *minor = 0;
  return SHY;
}
int nvmlDeviceGetPciInfo_v3(void *h, Pci *pci) {
  snprintf(pci->bus_id, sizeof pci->bus_id, "0000%s", bus_ids[INDEX(h)]);
  return SHY;
}
int nvmlDeviceGetMemoryInfo(void *h, Memory *memory) {
  memory->total = 16ull << 30;
  memory->used = 1000000ull * setting(INDEX(h) ? "FAKE_USED_MB_1" : "FAKE_USED_MB", 0);
  memory->free = memory->total - memory->used;
  return SHY;
}
int nvmlDeviceGetClockInfo(void *h, int kind, unsigned *mhz) { *mhz = kind == 0 ? 1126 : 715; return SHY; }
int nvmlDeviceGetMaxClockInfo(void *h, int kind, unsigned *mhz) { *mhz = kind == 0 ? 1328 : 715; return SHY; }
int nvmlDeviceGetApplicationsClock(void *h, int kind, unsigned *mhz) { *mhz = kind == 0 ? 1189 : 715; return SHY; }
int nvmlDeviceGetEnforcedPowerLimit(void *h, unsigned *mw) { *mw = 250000; return SHY; }
int nvmlDeviceGetTemperature(void *h, int sensor, unsigned *celsius) { *celsius = 41; return SHY; }
int nvmlDeviceGetPersistenceMode(void *h, unsigned *mode) { *mode = 1; return SHY; }
/* Only the older name, as until driver 535. */
int nvmlDeviceGetCurrentClocksThrottleReasons(void *h, unsigned long long *bits) {
  *bits = setting("FAKE_REASONS", 0);
  return SHY;
}
