// SPDX-License-Identifier: Apache-2.0
// Copyright the ProxyFS authors
// What HdrHistogram's reader in JavaScript says, by hand: npm install hdr-histogram-js@3.0.1, then
//   node hdr_js.js            the golden vectors of hist_log_test.c
//   node hdr_js.js FILE       the intervals of a log that agfs-bench --hdr has written
const fs = require("fs");
const hdr = require("hdr-histogram-js");

function golden(name, values) {
  const h = hdr.build({ lowestDiscernibleValue: 1, highestTrackableValue: 3600e9, numberOfSignificantValueDigits: 3, bitBucketSize: 64 });
  for (const [value, n] of values) h.recordValueWithCount(value, n);
  console.log(name, hdr.encodeIntoCompressedBase64(h));
}

if (process.argv.length > 2) {
  const reader = new hdr.HistogramLogReader(fs.readFileSync(process.argv[2], "utf8"));
  for (let h; (h = reader.nextIntervalHistogram()); )
    console.log(h.tag, h.totalCount, h.getValueAtPercentile(50), h.getValueAtPercentile(99), h.maxValue);
} else {
  golden("empty", []);
  golden("few", [[0, 1], [1, 2], [2047, 1], [2048, 3], [1000000, 1000], [3600e9, 1]]);
  const many = [];
  for (let i = 0; i < 3000; i++) many.push([i * i * 37 + 5000, (i % 7) + 1]);
  golden("many", many);
}
