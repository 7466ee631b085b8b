#!/usr/bin/env bash
# Follows a stream with curl alone, and comes back with the last id it saw: curl.sh URL
export LC_ALL=C
last='' ended=''

show() {
  local text=${data//\\/\\\\}
  printf '{"id":"%s","event":"%s","data":"%s"}\n' "$id" "$event" "${text//\"/\\\"}"
}

while [ -z "$ended" ]; do
  id='' event='' data='' is_new=yes
  while IFS= read -r line; do # a line without its end, where the stream was cut, is none
    case $line in
      'id: '*) id=${line#id: } ;;
      'event: '*) event=${line#event: } ;;
      'data: '*) data=${line#data: } ;;
      'status: 204') ended=204 ;;
      '')
        if [ -n "$data" ]; then
          if [ -n "$is_new" ]; then echo '{"opened":true}'; fi
          is_new=''
          show
          last=$id
          [ "$event" = stream.end ] && ended=$event
        fi
        id='' event='' data=''
        ;;
    esac
  done < <(curl -sN -H 'Accept: text/event-stream' ${last:+-H "Last-Event-ID: $last"} -w 'status: %{http_code}\n' "$1")
  [ -z "$ended" ] && sleep 0.2
done
echo "{\"ended\":\"$ended\"}"
