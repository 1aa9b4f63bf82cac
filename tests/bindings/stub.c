/* The C entry points that TensorRT's Python bindings import from its three libraries. Every maker answers NULL: the
   module can be imported and looked at, and nothing can be made with it. */
#include <stdbool.h>
#include <stddef.h>

void *createInferBuilder_INTERNAL(void) { return NULL; }
void *createInferRefitter_INTERNAL(void) { return NULL; }
void *createInferRuntime_INTERNAL(void) { return NULL; }
void *createNvOnnxParser_INTERNAL(void) { return NULL; }
void *createNvOnnxParserRefitter_INTERNAL(void) { return NULL; }
void *getBuilderPluginRegistry(void) { return NULL; }
void *getPluginRegistry(void) { return NULL; }
bool initLibNvInferPlugins(void) { return true; }
int getInferLibVersion(void) { return 0; }
int getNvOnnxParserVersion(void) { return 0; }
