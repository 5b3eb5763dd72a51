/* The page's files and the description of the API, as the assembler includes them: clients/web as it lies in the tree,
 * and Chart.js from where its Debian package puts it (CHART_JS, set by the Makefile). Keeps the invariant that what is
 * served is what was built; nothing is read at run time. */
#include "web_files.h"

#include <string.h>

#define JAVASCRIPT "text/javascript; charset=utf-8"
#define FILES(X)                                                                               \
  X(openapi_json, "/openapi.json", "server/openapi.json", "application/json")                  \
  X(index_html, "/", "clients/web/index.html", "text/html; charset=utf-8")                     \
  X(operations_html, "/operations", "clients/web/operations.html", "text/html; charset=utf-8") \
  X(operations_js, "/web/operations.js", "clients/web/operations.js", JAVASCRIPT)              \
  X(style_css, "/web/style.css", "clients/web/style.css", "text/css; charset=utf-8")           \
  X(icon_svg, "/web/icon.svg", "clients/web/icon.svg", "image/svg+xml")                        \
  X(page_js, "/web/page.js", "clients/web/page.js", JAVASCRIPT)                                \
  X(answer_js, "/web/answer.js", "clients/web/answer.js", JAVASCRIPT)                          \
  X(api_js, "/web/api.js", "clients/web/api.js", JAVASCRIPT)                                   \
  X(charts_js, "/web/charts.js", "clients/web/charts.js", JAVASCRIPT)                          \
  X(compare_js, "/web/compare.js", "clients/web/compare.js", JAVASCRIPT)                       \
  X(picture_js, "/web/picture.js", "clients/web/picture.js", JAVASCRIPT)                       \
  X(chart_js, "/web/chart.js", CHART_JS, JAVASCRIPT)

#define INCLUDE(symbol, path, file, type)                                                                          \
  __asm__(".section .rodata\nweb_" #symbol "_begin: .incbin \"" file "\"\nweb_" #symbol "_end: .byte 0\n.text\n"); \
  extern const unsigned char web_##symbol##_begin[], web_##symbol##_end[];
FILES(INCLUDE)

const web_file *web_file_find(const char *path) {
#define ROW(symbol, path, file, type) {path, type, web_##symbol##_begin, web_##symbol##_end},
  static const web_file files[] = {FILES(ROW)};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++)
    if (strcmp(files[i].path, path) == 0) return &files[i];
  return NULL;
}
