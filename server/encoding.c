/* base64 and percent-encoding. Keeps the invariant that a decoder accepts only what it would decode without loss. Does
 * not allocate but in base64_encode. */
#include "encoding.h"

#include <stdlib.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int digit_of(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  if (c == '/') return 63;
  return -1;
}

bool base64_decode(const char *text, size_t n, uint8_t *out, size_t *n_out, size_t *bad) {
  size_t end = n;
  if (n % 4 == 0)
    while (end > 0 && n - end < 2 && text[end - 1] == '=') end--;
  uint32_t bits = 0;
  unsigned n_bits = 0;
  size_t written = 0;
  for (size_t i = 0; i < end; i++) {
    int digit = digit_of(text[i]);
    if (digit < 0) {
      *bad = i;
      return false;
    }
    bits = bits << 6 | (uint32_t)digit;
    n_bits += 6;
    if (n_bits >= 8) {
      n_bits -= 8;
      out[written++] = (uint8_t)(bits >> n_bits);
      bits &= (1u << n_bits) - 1;
    }
  }
  *bad = end;
  if (end % 4 == 1) return false;
  if (bits != 0) { /* leftover bits of the last character must be zero, else two texts would mean the same bytes */
    *bad = end - 1;
    return false;
  }
  *n_out = written;
  return true;
}

char *base64_encode(const uint8_t *bytes, size_t n) {
  if (n > SIZE_MAX / 4 * 3 - 4) return NULL;
  char *text = malloc((n + 2) / 3 * 4 + 1), *p = text;
  if (!text) return NULL;
  for (size_t i = 0; i < n; i += 3) {
    size_t left = n - i;
    uint32_t v =
        (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) | (left > 2 ? bytes[i + 2] : 0);
    *p++ = alphabet[v >> 18];
    *p++ = alphabet[v >> 12 & 63];
    *p++ = left > 1 ? alphabet[v >> 6 & 63] : '=';
    *p++ = left > 2 ? alphabet[v & 63] : '=';
  }
  *p = 0;
  return text;
}

static int hex_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool percent_decode(char *text) {
  char *out = text;
  for (const char *in = text; *in; in++) {
    if (*in != '%') {
      *out++ = *in;
      continue;
    }
    int high = hex_of(in[1]), low = high < 0 ? -1 : hex_of(in[2]);
    if (low < 0 || (high | low) == 0) return false;
    *out++ = (char)(high << 4 | low);
    in += 2;
  }
  *out = 0;
  return true;
}

void percent_encode(const char *text, char *out, size_t n_out) {
  static const char digits[] = "0123456789ABCDEF";
  size_t n = 0;
  for (; *text; text++) {
    unsigned char c = (unsigned char)*text;
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c);
    if (n + (plain ? 1 : 3) >= n_out) break;
    if (plain) {
      out[n++] = (char)c;
    } else {
      out[n++] = '%';
      out[n++] = digits[c >> 4];
      out[n++] = digits[c & 15];
    }
  }
  out[n] = 0;
}
