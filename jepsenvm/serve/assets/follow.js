"use strict";
// Shows the log of a run while it grows. Everything from the run becomes a text node.
(() => {
  const MOST_LINES = 2000;
  const section = document.getElementById("follow");
  const state = document.getElementById("follow-state");
  const log = document.getElementById("follow-log");
  const tallies = document.getElementById("follow-tallies");
  const rows = new Map();
  const events = new EventSource(section.dataset.events);

  function addLines(lines) {
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
    for (const line of lines) log.append(`${line}\n`);
    while (log.childNodes.length > MOST_LINES) log.firstChild.remove();
    if (atEnd) log.scrollTop = log.scrollHeight;
  }

  function addTally(client, counts) {
    if (!rows.has(client)) {
      const row = tallies.tBodies[0].insertRow();
      row.insertCell().textContent = client;
      rows.set(client, row.insertCell());
      tallies.hidden = false;
    }
    rows.get(client).textContent = counts;
  }

  events.addEventListener("log", (event) => {
    const news = JSON.parse(event.data);
    addLines(news.lines);
    for (const [client, counts] of Object.entries(news.tallies)) addTally(client, counts);
  });
  events.addEventListener("state", (event) => {
    const now = JSON.parse(event.data);
    const megabytes = (now["history-bytes"] / 1e6).toFixed(1);
    state.textContent = `${now.state}; the history has ${megabytes} MB`;
  });
  events.addEventListener("end", (event) => {
    events.close();
    const verdict = JSON.parse(event.data).verdict;
    state.textContent = `The run has its verdict: ${verdict}. `;
    const link = document.createElement("a");
    link.href = "";
    link.textContent = "Load this page again";
    state.append(link);
  });
  events.addEventListener("error", () => {
    if (events.readyState === EventSource.CLOSED) state.textContent = "The run can no longer be followed.";
  });
})();
