/* Open Inference Protocol v2, inference: what a request asks for beside pictures and options, and its way from body to
 * inputs. The model's only input is `image`; oip_output_name lists the outputs.
 *
 * Reads no HTTP: api_oip.c does, json_oip_in.c reads the JSON and json_oip_out.c writes it. */
#ifndef SERVER_OIP_H
#define SERVER_OIP_H

#include "compress.h"
#include "inference.h"

typedef enum oip_output {
  OIP_SCORES,      /* FP32 [-1,classes] */
  OIP_SPIKE_COUNT, /* INT64 [-1,spiking layers] */
  OIP_LABEL,       /* BYTES [-1]; the class's index in models without labels */
  OIP_OUTPUTS
} oip_output;

const char *oip_output_name(oip_output o);

enum { OIP_ID_MAX = 256, OIP_DIMENSIONS_MAX = 4 };
#define OIP_INPUT_NAME "image"
#define OIP_VERSION    "1" /* the only version a model has */
#define OIP_WHOLE_JSON SIZE_MAX

typedef struct oip_output_request {
  oip_output output;
  bool binary, binary_given;
  uint32_t classification; /* 0: the tensor itself; k: the k best classes as text */
} oip_output_request;

/* What the scheduler need not know of a request. Owned by the inference. */
typedef struct oip_request {
  size_t n_json; /* bytes of JSON at the head of the body; OIP_WHOLE_JSON: all of it; 0: one raw tensor */
  compression content;
  size_t max_bytes; /* of the body, decompressed */
  bool has_id;
  char id[OIP_ID_MAX + 1];
  bool outputs_listed, binary_output; /* binary_output: those that do not say come as binary data */
  size_t n_outputs;
  oip_output_request outputs[OIP_OUTPUTS];
  uint64_t timeout_us; /* 0: none */
} oip_request;

typedef enum oip_datatype { OIP_NO_DATATYPE, OIP_FP32, OIP_UINT8, OIP_BYTES } oip_datatype;

/* The input tensor as the JSON describes it. Its data is elsewhere: numbers as floats, or pictures, in the inference it
 * was parsed into; or behind the JSON. */
typedef struct oip_tensor {
  bool given, has_data, has_shape, has_binary_size;
  oip_datatype datatype;
  int64_t shape[OIP_DIMENSIONS_MAX];
  size_t n_dimensions;
  uint64_t binary_size;
  bool data_is_text; /* what `data` held: strings or numbers */
  size_t n_values;
} oip_tensor;

/* Does the option change answers of classify that this protocol has not? */
bool oip_option_has_no_place(const char *name);

/* Body to inputs, on a decode worker: decompress, parse, check, normalise. False with inf->problem set. */
bool oip_decode(inference *inf);

#endif
