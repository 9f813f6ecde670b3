package binlog

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/binjet/binjet/checkpoint"
)

// request is what a server is asked to send: what follows a set of GTIDs, or a file
// from an offset on, and all behind it.
type request struct {
	set    *checkpoint.GTIDSet
	file   string // "": the oldest one
	offset uint32
}

// register makes the session that of a replica, by the statements that servers of
// both flavors know a replica by.
func (s *session) register(flavor checkpoint.Flavor, id uint32, heartbeat time.Duration) error {
	statements := []string{
		// Checksums are understood, and what the server makes up before it has sent a format has none.
		"SET @master_binlog_checksum = 'NONE', @source_binlog_checksum = 'NONE'",
		fmt.Sprintf("SET @master_heartbeat_period = %d, @source_heartbeat_period = %[1]d", heartbeat.Nanoseconds()),
	}
	if flavor == checkpoint.MariaDB {
		statements = append(statements, "SET @mariadb_slave_capability = 4") // GTID events are understood
	} else {
		// MySQL would end a dump of the same server ID that has no UUID.
		statements = append(statements, fmt.Sprintf("SET @slave_uuid = '%s', @replica_uuid = '%[1]s'", randomUUID()))
	}
	for _, one := range statements {
		if _, err := s.Execute(one); err != nil {
			return fmt.Errorf("%s: %w", one, err)
		}
	}
	if err := s.command(registerCommand(id)); err != nil {
		return fmt.Errorf("register as a replica: %w", err)
	}
	if _, err := s.ReadOKPacket(); err != nil {
		return fmt.Errorf("register as a replica: %w", err)
	}
	return nil
}

// ask sends the command that begins a dump.
func (s *session) ask(flavor checkpoint.Flavor, id uint32, from request) error {
	if from.set == nil {
		return s.command(dumpCommand(id, from))
	}
	if flavor == checkpoint.MySQL {
		set, err := mysql.ParseMysqlGTIDSet(from.set.String())
		if err != nil {
			return fmt.Errorf("translate position %s: %w", from.set, err)
		}
		return s.command(dumpGTIDCommand(id, set.Encode()))
	}
	for _, one := range []string{
		fmt.Sprintf("SET @slave_connect_state = '%s'", from.set),
		"SET @slave_gtid_strict_mode = 1", // a GTID that is not there is an error
	} {
		if _, err := s.Execute(one); err != nil {
			return fmt.Errorf("%s: %w", one, err)
		}
	}
	return s.command(dumpCommand(id, request{}))
}

// command sends a command; WritePacket fills in the header that it makes room for.
func (s *session) command(body []byte) error {
	s.ResetSequence()
	return s.WritePacket(append(make([]byte, 4, 4+len(body)), body...))
}

// replicaName is how the server lists us among its replicas.
const replicaName = "binjet"

// registerCommand is COM_REGISTER_SLAVE: server ID, name, no account, no port, rank and source.
func registerCommand(id uint32) []byte {
	b := binary.LittleEndian.AppendUint32([]byte{mysql.COM_REGISTER_SLAVE}, id)
	b = append(append(b, byte(len(replicaName))), replicaName...)
	return append(b, make([]byte, 1+1+2+4+4)...)
}

// dumpCommand is COM_BINLOG_DUMP: offset, flags, server ID, file.
func dumpCommand(id uint32, from request) []byte {
	b := binary.LittleEndian.AppendUint32([]byte{mysql.COM_BINLOG_DUMP}, from.offset)
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint32(b, id)
	return append(b, from.file...)
}

// dumpGTIDCommand is COM_BINLOG_DUMP_GTID: flags, server ID, no file, its offset, the set.
func dumpGTIDCommand(id uint32, set []byte) []byte {
	b := binary.LittleEndian.AppendUint16([]byte{mysql.COM_BINLOG_DUMP_GTID}, 0)
	b = binary.LittleEndian.AppendUint32(b, id)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint64(b, firstOffset)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(set)))
	return append(b, set...)
}

func randomUUID() string {
	b := make([]byte, uuidLength)
	_, _ = rand.Read(b) // never fails
	return UUIDText(b, false)
}

// ended says why there are no more events: what the server said, or what became of the connection.
func (s *session) ended(err error) error {
	var refused *errorPacket
	if errors.As(err, &refused) {
		err = s.HandleErrorPacket(refused.packet)
	}
	return fmt.Errorf("read the binlog: %w", err)
}
